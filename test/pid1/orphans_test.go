package pid1_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// orphansSource makes ten thousand orphans, a hundred of one parent at a time. It is in C because a fork of this
// test, with all its memory, takes a hundred times as long.
const orphansSource = `#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	for (int n = 0; n < 100; n++) {
		int status;
		pid_t parent = fork();
		if (parent == 0) {
			for (int i = 0; i < 100; i++) {
				pid_t orphan = fork();
				if (orphan < 0)
					_exit(1);
				if (orphan == 0)
					_exit(0);
			}
			_exit(0);
		}
		if (waitpid(parent, &status, 0) != parent || status != 0)
			return 1;
	}
	return 0;
}
`

// TestOrphans: ten thousand processes whose parents are gone leave no zombie, and disturb nobody.
func TestOrphans(t *testing.T) {
	cc := harness.Need(t, "cc")[0]
	orphans := filepath.Join(t.TempDir(), "orphans")
	harness.WriteFile(t, orphans+".c", orphansSource, 0o644)
	if out, code := harness.Run(t, cc, "-o", orphans, orphans+".c"); code != 0 {
		t.Fatalf("cc: %s", out)
	}
	everywhere(t, func(t *testing.T, w world) {
		root, done := t.TempDir(), filepath.Join(t.TempDir(), "done")
		rig.Service(t, root, "producer", sh(orphans+" && echo done >"+done, "exec sleep 1000000"))
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
