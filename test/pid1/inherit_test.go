package pid1_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
	"upkeep/test/hungfs"
)

// maskedHelper executes its arguments with signals blocked and ignored, and a low limit of
// descriptors, as careless parents leave them.
func maskedHelper(args []string) {
	runtime.LockOSThread()
	limit := unix.Rlimit{Cur: 777, Max: 4000}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, (*syscall.Rlimit)(&limit)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	var set unix.Sigset_t
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCHLD, syscall.SIGUSR1, syscall.SIGHUP} {
		set.Val[0] |= 1 << (s - 1)
	}
	// sh ignores, for what Go ignores it would not hand on; the mask goes through both.
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &set, nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	err := syscall.Exec("/bin/sh", append([]string{"sh", "-c", `trap '' PIPE INT USR2; exec "$@"`, "sh"}, args...), os.Environ())
	fmt.Fprintln(os.Stderr, err)
	os.Exit(99)
}

// waiter is a run script that becomes cat without a shell that could change anything: it waits for its
// standard input, in which nothing comes.
const waiter = "#!/bin/cat -\n"

// TestInheritance: a service finds what the daemon was given, and nothing of the daemon's.
func TestInheritance(t *testing.T) {
	t.Parallel()
	for _, w := range worlds {
		for _, remote := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/remote=%v", w.name, remote), func(t *testing.T) {
				t.Parallel()
				testInheritance(t, w, remote)
			})
		}
	}
}

func testInheritance(t *testing.T, w world, remote bool) {
	root := t.TempDir()
	web := filepath.Join(root, "web")
	if remote {
		harness.NeedRoot(t)
		if why := hungfs.Available(); why != "" {
			harness.Skip(t, "%s", why)
		}
		fs := hungfs.Mount(t, t.TempDir(), hungfs.Entry{Name: "run", Text: waiter, Mode: 0o755},
			hungfs.Entry{Name: "supervise", Link: filepath.Join(t.TempDir(), "super")})
		if err := os.Symlink(fs.Dir, web); err != nil {
			t.Fatal(err)
		}
	} else {
		rig.Service(t, root, "web", waiter)
		rig.Service(t, root, "logged", waiter, "log/run", waiter)
	}
	stdin, never, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	defer never.Close()
	d := w.startWith(t, stdin, []string{root}, rig.Helper(t, "masked")...)
	count := map[bool]int{true: 1, false: 3}[remote]
	var ready []process
	harness.Eventually(t, "all are up", func() bool {
		ready = slices.DeleteFunc(descendants(d.Pid()), func(p process) bool { // a script keeps its name, run
			exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.pid))
			now, _ := look(p.pid) // while it waits for its input no exec is under way
			return filepath.Base(exe) != "cat" || now.state != "S"
		})
		return len(ready) == count
	})
	daemonEnv := readProc(t, d.Pid(), "environ")
	pipes := make(map[string]int)
	for _, p := range ready {
		if env := readProc(t, p.pid, "environ"); env != daemonEnv {
			t.Errorf("the environment is %d bytes and not that of the daemon:\n%q\n%q", len(env), env, daemonEnv)
		}
		for _, line := range strings.Split(readProc(t, p.pid, "status"), "\n") {
			name, value, _ := strings.Cut(line, ":\t")
			if (name == "SigIgn" || name == "SigBlk" || name == "SigPnd" || name == "SigCgt") && value != "0000000000000000" {
				t.Errorf("%s", line)
			}
		}
		for _, line := range strings.Split(readProc(t, p.pid, "limits"), "\n") {
			if f := strings.Fields(line); strings.HasPrefix(line, "Max open files") && (f[3] != "777" || f[4] != "4000") {
				t.Errorf("%s", line)
			}
		}
		var fds map[string]string
		harness.Eventually(t, "it has three descriptors", func() bool { // the dynamic linker has more for a moment
			fds = descriptors(p.pid)
			return len(fds) == 3
		})
		if fds["2"] != d.Log() {
			t.Errorf("stderr is %s, not %s", fds["2"], d.Log())
		}
		if in := descriptor(os.Getpid(), fmt.Sprint(stdin.Fd())); fds["0"] != in {
			pipes[fds["0"]]++
		}
		if fds["1"] != d.Log() {
			pipes[fds["1"]]++
		}
		session := strings.Fields(readProc(t, p.pid, "stat"))[5]
		if session != fmt.Sprint(p.pid) {
			// Seen from outside the namespace, too, a leader's session has its own pid.
			t.Errorf("pid %d is in session %s", p.pid, session)
		}
		harness.Eventually(t, "the working directory is the service's", func() bool {
			cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.pid))
			return remote || strings.HasPrefix(cwd, root+"/")
		})
	}
	// The service writes where its logger reads, and nobody else has to do with that.
	for pipe, n := range pipes {
		if n != 2 || remote {
			t.Errorf("%d times %s", n, pipe)
		}
	}
	if !remote && len(pipes) != 1 {
		t.Errorf("pipes: %v", pipes)
	}
	d.ends(syscall.SIGTERM, harness.Patience, 0)
}

func readProc(t *testing.T, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// descriptors tells what a process has open.
func descriptors(pid int) map[string]string {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	fds := make(map[string]string)
	for _, e := range list {
		fds[e.Name()] = descriptor(pid, e.Name())
	}
	return fds
}

func descriptor(pid int, fd string) string {
	to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd))
	return to
}
