package pid1_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// orphansHelper makes that many orphans. Between fork and exit only system calls happen: the child of
// a bare fork has one thread and no scheduler.
func orphansHelper(args []string) {
	const litter = 100
	n, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	fork := func() uintptr {
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 98, 0, 0)
		}
		return pid
	}
	for ; n > 0; n -= litter {
		parent := fork()
		if parent == 0 {
			for range litter {
				if fork() == 0 {
					syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
				}
			}
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
		var ws syscall.WaitStatus
		if _, err := syscall.Wait4(int(parent), &ws, 0, nil); err != nil || ws != 0 {
			fmt.Fprintln(os.Stderr, "orphans:", err, ws)
			os.Exit(1)
		}
	}
}

// TestOrphans: ten thousand processes whose parents are gone leave no zombie, and disturb nobody.
func TestOrphans(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		root, done := t.TempDir(), filepath.Join(t.TempDir(), "done")
		helper := strings.Join(rig.Helper(t, "orphans", "10000"), " ")
		rig.Service(t, root, "producer", sh(helper+" && echo done >"+done, "exec sleep 1000000"))
		tick := filepath.Join(t.TempDir(), "tick")
		rig.Service(t, root, "crash", sh("echo >>"+tick))
		d := w.start(t, []string{root})
		holds(t, done, "done")
		harness.Eventually(t, "there is no zombie", func() bool { return d.zombies() == 0 })
		b, _ := os.ReadFile(tick)
		harness.Eventually(t, "the other service goes on", func() bool {
			now, _ := os.ReadFile(tick)
			return len(now) > len(b)
		})
		d.ends(syscall.SIGTERM, harness.Patience, 0)
	})
}

// TestLeftover: what a service leaves behind in another session becomes the daemon's child, lives on
// when the service is restarted, and ends with the daemon.
func TestLeftover(t *testing.T) {
	harness.Need(t, "setsid")
	for _, test := range []struct {
		name, trap, stop string
		limit            time.Duration
	}{
		{"ends on TERM", "true", "--stop-timeout=60s", slack},
		{"ends on KILL", "trap '' TERM HUP INT", "--stop-timeout=1s", time.Second + slack},
	} {
		t.Run(test.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w world) {
				root, bin := t.TempDir(), t.TempDir()
				once := filepath.Join(bin, "once")
				rig.Service(t, root, "web", sh(
					"[ -e "+once+" ] || (: >"+once+"; "+test.trap+"; exec setsid -f "+named(t, bin, "leftover")+" 1000000)",
					"exec "+named(t, bin, "main")+" 1000000"))
				d := w.start(t, []string{test.stop, root})
				left, main := d.member("leftover"), d.member("main")
				harness.Eventually(t, "the leftover is the daemon's child", func() bool {
					left = d.member("leftover")
					return left.parent == d.Pid()
				})
				syscall.Kill(main.pid, syscall.SIGKILL)
				harness.Eventually(t, "main is restarted", func() bool { return d.member("main").pid != main.pid })
				if now := d.member("leftover"); now.pid != left.pid {
					t.Errorf("the leftover was %d and is %d", left.pid, now.pid)
				}
				d.ends(syscall.SIGTERM, test.limit, 0)
			})
		})
	}
}

// named makes a sleep that is known by another name.
func named(t *testing.T, dir, name string) string {
	t.Helper()
	sleep := harness.Need(t, "sleep")[0]
	path := filepath.Join(dir, name)
	if err := os.Symlink(sleep, path); err != nil {
		t.Fatal(err)
	}
	return path
}
