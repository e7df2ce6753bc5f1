package hardtimes_test

import (
	"errors"
	"math/rand"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// elsewhere makes a service whose supervise is a link to target.
func elsewhere(t *testing.T, root, name, target string) string {
	t.Helper()
	building := rig.Service(t, t.TempDir(), name, rig.Sleeper)
	symlink(t, target, join(building, "supervise"))
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	rename(t, building, join(root, name))
	return join(root, name)
}

// recorded waits until the status names a living process.
func recorded(t *testing.T, super string) int {
	t.Helper()
	var s rig.Status
	harness.Eventually(t, "the process is recorded in "+super, func() bool {
		s, _ = rig.StatusOf(super)
		return s.Pid != 0 && rig.Alive(s.Pid)
	})
	return s.Pid
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	root, disk := join(top, "root"), join(top, "disk")
	mount(t, "tmpfs", disk, "tmpfs", 0, "size=64k")
	filler := join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	runs := join(top, "runs")
	web := elsewhere(t, root, "web", join(disk, "super"))
	harness.WriteFile(t, join(web, "run"), "#!/bin/sh\necho $$ >>"+runs+"\nexec sleep 1000000\n", 0o755)
	a := rig.Service(t, root, "a", rig.Sleeper)
	u := rig.StartOn(t, root)
	harness.Eventually(t, "it runs", func() bool { return size(runs) > 0 })
	u.EventuallySays("upkeep: warning:", "web", "status", "no space left on device")
	answers(t, a)

	remove(t, filler)
	rig.Svc(t, "t", web)
	recorded(t, join(disk, "super"))
	answers(t, web)
	u.Lives()
}

// TestInodesUsedUp: not even the supervise directory can be made.
func TestInodesUsedUp(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	root, disk := join(top, "root"), join(top, "disk")
	mount(t, "tmpfs", disk, "tmpfs", 0, "nr_inodes=2")
	harness.WriteFile(t, join(disk, "filler"), "", 0o644)
	if err := os.Mkdir(join(disk, "x"), 0o755); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	runs := join(top, "runs")
	web := elsewhere(t, root, "web", join(disk, "super"))
	harness.WriteFile(t, join(web, "run"), "#!/bin/sh\necho $$ >>"+runs+"\nexec sleep 1000000\n", 0o755)
	u := rig.StartOn(t, root)
	harness.Eventually(t, "it runs", func() bool { return size(runs) > 0 })
	u.EventuallySays("upkeep: warning:", "web", "no space left on device")

	if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "nr_inodes=100"); err != nil {
		t.Fatal(err)
	}
	kill(t, lastPid(t, runs), syscall.SIGKILL) // the event
	recorded(t, join(disk, "super"))
	answers(t, web)
}

// lastPid is the last line of a file into which a run script writes its pid.
func lastPid(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b))
	return atoi(t, f[len(f)-1])
}

func TestReadOnlyService(t *testing.T) {
	t.Parallel()
	for _, state := range []bool{true, false} {
		t.Run("state="+map[bool]string{true: "elsewhere", false: "none"}[state], func(t *testing.T) {
			top := t.TempDir()
			root, runs := join(top, "root"), join(top, "runs")
			sv := rig.Service(t, top, "sv", "#!/bin/sh\necho $$ >>"+runs+"\nexec sleep 1000000\n")
			web := join(root, "web")
			mount(t, sv, web, "", unix.MS_BIND, "")
			if err := unix.Mount("", web, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			var args []string
			if state {
				args = []string{"--state", join(top, "state")}
			}
			u := rig.StartOn(t, root, args...)
			harness.Eventually(t, "it runs", func() bool { return size(runs) > 0 })
			if state {
				answers(t, join(top, "state", "web"))
			} else {
				u.EventuallySays("upkeep: warning:", "web", "read-only file system")
				before := size(runs)
				kill(t, lastPid(t, runs), syscall.SIGKILL)
				harness.Eventually(t, "it is restarted", func() bool { return size(runs) > before })
			}
			if code := u.Stop(syscall.SIGTERM, harness.Patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if rig.Alive(lastPid(t, runs)) {
				t.Error("the service outlives the daemon")
			}
		})
	}
}

func TestStatusNewIsDirectory(t *testing.T) {
	t.Parallel()
	root := join(t.TempDir(), "root")
	web := rig.Service(t, root, "web", rig.Sleeper, "supervise/status.new/stale", "")
	a := rig.Service(t, root, "a", rig.Sleeper)
	u := rig.StartOn(t, root)
	answers(t, a)
	harness.Eventually(t, "it is repaired or reported", func() bool {
		s, _ := rig.StatusOf(join(web, "supervise"))
		return s.Pid != 0 || u.Says("upkeep: warning:", "web", "status")
	})
	remove(t, join(web, "supervise", "status.new"))
	rig.Svc(t, "t", web)
	answers(t, web)
}

func TestNoFIFO(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"control", "ok"} {
		for kind, make := range map[string]func(path string) error{
			"file":          func(path string) error { return os.WriteFile(path, []byte("text\n"), 0o644) },
			"directory":     func(path string) error { return os.Mkdir(path, 0o755) },
			"dangling link": func(path string) error { return os.Symlink("/nonexistent/x", path) },
			"socket":        func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) },
		} {
			t.Run(name+" is a "+kind, func(t *testing.T) {
				root := join(t.TempDir(), "root")
				web := rig.Service(t, root, "web", rig.Sleeper, "supervise/x", "")
				a := rig.Service(t, root, "a", rig.Sleeper)
				if err := make(join(web, "supervise", name)); err != nil {
					t.Fatal(err)
				}
				u := rig.StartOn(t, root)
				answers(t, a)
				harness.Eventually(t, "it is repaired or reported", func() bool {
					s, _ := rig.StatusOf(join(web, "supervise"))
					return s.Pid != 0 && rig.Client(t, "svok", web) == "" || u.Says("upkeep: warning:", "web", name)
				})
				remove(t, join(web, "supervise", name))
				rescan(t, u)
				u.Lives()
			})
		}
	}
}

func TestSuperviseIsDanglingLink(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	target := join(top, "target")
	web := elsewhere(t, join(top, "root"), "web", target)
	rig.StartOn(t, join(top, "root"))
	answers(t, web)
	if st, err := os.Stat(target); err != nil || st.Mode() != os.ModeDir|0o700 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

func TestSuperviseIsFile(t *testing.T) {
	t.Parallel()
	root := join(t.TempDir(), "root")
	web := rig.Service(t, root, "web", rig.Sleeper, "supervise", "text\n")
	a := rig.Service(t, root, "a", rig.Sleeper)
	u := rig.StartOn(t, root)
	u.EventuallySays("upkeep: warning:", "web", "supervise", "not a directory")
	answers(t, a)
	remove(t, join(web, "supervise"))
	rescan(t, u)
	answers(t, web)
}

func TestGarbageInControl(t *testing.T) {
	t.Parallel()
	root := join(t.TempDir(), "root")
	web, a := rig.Service(t, root, "web", rig.Sleeper), rig.Service(t, root, "a", rig.Sleeper)
	u := rig.StartOn(t, root)
	rig.Up(t, web)
	garbage := make([]byte, 3<<15) // more than a pipe holds
	random := rand.New(rand.NewSource(1))
	for i := range garbage {
		for garbage[i] = 'x'; garbage[i] == 'x'; { // x would close the FIFO
			garbage[i] = byte(random.Uint32())
		}
	}
	fifo, err := os.OpenFile(join(web, "supervise", "control"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fifo.Close()
	fifo.SetWriteDeadline(time.Now().Add(harness.Patience))
	if n, err := fifo.Write(garbage); err != nil {
		t.Fatalf("%d bytes written: %v", n, err)
	}
	answers(t, a)
	rig.Svc(t, "cu", web)
	answers(t, web)
	u.Lives()
}

func TestManyLetters(t *testing.T) {
	t.Parallel()
	root := join(t.TempDir(), "root")
	web := rig.Service(t, root, "web", rig.Sleeper)
	rig.StartOn(t, root)
	pid := rig.Up(t, web)
	letters := func(s string) {
		t.Helper()
		if err := os.WriteFile(join(web, "supervise", "control"), []byte(s), 0); err != nil {
			t.Fatal(err)
		}
	}
	letters(strings.Repeat("pc", 500))
	harness.Eventually(t, "it is continued", func() bool {
		s, _ := rig.StatusOf(join(web, "supervise"))
		return !s.Paused && rig.ProcState(pid) == "S"
	})
	letters(strings.Repeat("ud", 100)) // of which each is a start
	rig.Down(t, web)
	letters(strings.Repeat("du", 100))
	answers(t, web)
}
