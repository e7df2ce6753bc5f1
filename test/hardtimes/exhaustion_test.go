package hardtimes_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

func TestDescriptorsUsedUp(t *testing.T) {
	t.Parallel()
	root := join(t.TempDir(), "root")
	a, b := rig.Service(t, root, "a", rig.Sleeper), rig.Service(t, root, "b", rig.Sleeper)
	u := rig.StartOn(t, root)
	rig.Up(t, a)
	rig.Up(t, b)
	answers(t, a)

	// As root prlimit gets through even where the hard limit is lower.
	var old unix.Rlimit
	if err := unix.Prlimit(u.Pid(), unix.RLIMIT_NOFILE, nil, &old); err != nil {
		harness.Skip(t, "prlimit: %v", err)
	}
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", u.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	// No descriptor above those in use: 3 would do as well, but this is how it happens.
	low := unix.Rlimit{Cur: uint64(len(list)), Max: old.Max}
	if err := unix.Prlimit(u.Pid(), unix.RLIMIT_NOFILE, &low, nil); err != nil {
		t.Fatal(err)
	}
	c := rig.Service(t, root, "c", rig.Sleeper)
	pid := rig.Up(t, b)
	kill(t, pid, syscall.SIGKILL)
	harness.Eventually(t, "the process is gone", func() bool { return !rig.Alive(pid) })
	u.EventuallySays("upkeep: warning:", "too many open files")
	u.Lives()

	if err := unix.Prlimit(u.Pid(), unix.RLIMIT_NOFILE, &old, nil); err != nil {
		t.Fatal(err)
	}
	answers(t, a, b, c)
	if lines := strings.Count(u.Output(), "too many open files"); lines > 20 {
		t.Errorf("the warning came %d times", lines)
	}
}

// limitThenExec is a helper: it writes a value into a file and executes the rest of its arguments.
func limitThenExec(args []string) {
	if err := os.WriteFile(args[0], []byte(args[1]), 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
	fmt.Fprintln(os.Stderr, syscall.Exec(args[2], args[2:], os.Environ()))
	os.Exit(99)
}

// TestNoInotify runs the daemon in a user namespace, which has limits of its own.
func TestNoInotify(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"max_inotify_instances", "max_inotify_watches"} {
		t.Run(limit, func(t *testing.T) {
			root := join(t.TempDir(), "root")
			a := rig.Service(t, root, "a", rig.Sleeper)
			args := rig.Helper(t, "limit", "/proc/sys/user/"+limit, "0", harness.Bin(t, "upkeep"), root)
			cmd := exec.Command(args[0], args[1:]...)
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
			}
			if probe := exec.Command("/bin/true"); true {
				probe.SysProcAttr = cmd.SysProcAttr
				if err := probe.Run(); err != nil {
					harness.Skip(t, "no user namespaces: %v", err)
				}
			}
			u := rig.Start(t, cmd)
			answers(t, a)
			u.EventuallySays("upkeep: warning:", "inotify")
			answers(t, rig.Service(t, root, "new", rig.Sleeper))
		})
	}
}

// pidsGroup makes a group with a limit on processes, in v1's or v2's tree.
func pidsGroup(t *testing.T, limit string) (dir string) {
	t.Helper()
	harness.NeedRoot(t)
	var err error
	for _, base := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		if dir, err = os.MkdirTemp(base, "upkeep-test-"); err != nil {
			continue
		}
		if err = os.WriteFile(join(dir, "pids.max"), []byte(limit), 0); err == nil {
			break
		}
		os.Remove(dir)
	}
	if err != nil {
		harness.Skip(t, "no pids controller: %v", err)
	}
	t.Cleanup(func() {
		os.WriteFile(join(dir, "pids.max"), []byte("max"), 0)
		harness.Eventually(t, "the group is empty", func() bool {
			for _, pid := range members(dir) {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			err := os.Remove(dir)
			return err == nil || os.IsNotExist(err)
		})
	})
	return dir
}

func members(group string) (pids []int) {
	b, _ := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	for _, f := range strings.Fields(string(b)) {
		if pid, _ := strconv.Atoi(f); pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// forkBomb is a helper: it has as many children as it can get, for ever.
func forkBomb([]string) {
	for {
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno == 0 && pid == 0 {
			for {
				syscall.RawSyscall6(syscall.SYS_PSELECT6, 0, 0, 0, 0, 0, 0)
			}
		}
		if errno != 0 {
			syscall.RawSyscall6(syscall.SYS_SCHED_YIELD, 0, 0, 0, 0, 0, 0)
		}
	}
}

func TestProcessesUsedUp(t *testing.T) {
	t.Parallel()
	root := join(t.TempDir(), "root")
	a := rig.Service(t, root, "a", rig.Sleeper)
	u := rig.StartOn(t, root)
	rig.Up(t, a)
	dir := pidsGroup(t, "80")
	if err := os.WriteFile(join(dir, "cgroup.procs"), []byte(strconv.Itoa(u.Pid())), 0); err != nil {
		harness.Skip(t, "cannot join %s: %v", dir, err)
	}
	bomb := rig.Service(t, root, "bomb", "#!/bin/sh\nexec "+strings.Join(rig.Helper(t, "forkbomb"), " ")+"\n")
	rig.Up(t, bomb)
	group := pidsDir(t, u.Pid())
	harness.Eventually(t, "the limit is reached", func() bool {
		b, _ := os.ReadFile(join(group, "pids.events"))
		return strings.Contains(string(b), "max ") && !strings.Contains(string(b), "max 0\n")
	})
	// What runs can be asked, and does not come back while nothing can be started.
	pid := rig.Up(t, a)
	kill(t, pid, syscall.SIGKILL)
	harness.Eventually(t, "the death is noticed or made good", func() bool {
		s, _ := rig.StatusOf(join(a, "supervise"))
		return s.Pid != pid
	})
	if out := rig.Client(t, "svstat", bomb); !strings.HasPrefix(out, bomb+": up (pid ") {
		t.Errorf("svstat: %s", out)
	}
	u.Lives()

	rig.Svc(t, "d", bomb) // the bomb's children hold out: they are the administrator's to remove
	harness.Eventually(t, "the bomb is removed", func() bool {
		left := 0
		for _, pid := range members(group) {
			exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
			if self, _ := os.Executable(); exe == self {
				syscall.Kill(pid, syscall.SIGKILL)
				left++
			}
		}
		return left == 0
	})
	answers(t, a)
	rig.Down(t, bomb)
	u.Lives()
}

// TestFewProcesses runs one command where few processes may be, which then takes all that are left.
func TestFewProcesses(t *testing.T) {
	t.Parallel()
	root, up := t.TempDir(), join(t.TempDir(), "up")
	bomb := fmt.Sprintf("echo up >%s; exec %s", up, strings.Join(rig.Helper(t, "forkbomb"), " "))
	start := func(limit string) *harness.Process {
		procs := join(pidsGroup(t, limit), "cgroup.procs")
		return harness.Start(t, syscall.SIGTERM, exec.Command("sh", "-c", `echo 0 >"$0" && exec "$@"`, procs,
			harness.Bin(t, "upkeep"), "--stop-timeout=20s", root, "--", "sh", "-c", bomb))
	}
	u := start("32")
	harness.Eventually(t, "the command runs", func() bool { _, err := os.Stat(up); return err == nil })
	group := pidsDir(t, u.Process.Pid)
	harness.Eventually(t, "the limit is reached", func() bool {
		b, _ := os.ReadFile(join(group, "pids.events"))
		return strings.Contains(string(b), "max ") && !strings.Contains(string(b), "max 0\n")
	})
	u.Process.Signal(syscall.SIGHUP)
	u.Process.Signal(syscall.SIGTERM)
	if code := u.Wait(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d: %s", code, u.Output())
	}

	// On a busy machine the Go runtime itself may want a thread too many before upkeep can say so.
	harness.Eventually(t, "it says why it cannot start", func() bool {
		u = start("10")
		return u.Wait() == 111 && strings.HasPrefix(u.Output(), "upkeep: fatal: cannot start: pids.max leaves room for ")
	})
}

// pidsDir is the group of the pids controller that a process is in.
func pidsDir(t *testing.T, pid int) string {
	t.Helper()
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(own), "\n") {
		if f := strings.SplitN(line, ":", 3); len(f) == 3 && f[1] == "pids" {
			return join("/sys/fs/cgroup/pids", f[2])
		} else if len(f) == 3 && f[1] == "" && !strings.Contains(string(own), ":pids:") {
			return join("/sys/fs/cgroup", f[2])
		}
	}
	t.Fatalf("no pids controller in %s", own)
	return ""
}
