package pid1_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// guarded waits for the daemon below a guard and returns it.
func (d *daemon) guarded(not int) (p process) {
	d.t.Helper()
	harness.Eventually(d.t, "there is a daemon below the guard", func() bool {
		for _, m := range d.members() {
			exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", m.pid))
			if m.parent == d.Pid() && strings.TrimSuffix(exe, " (deleted)") == harness.Bin(d.t, "upkeep") && m.pid != not {
				p = m
				return true
			}
		}
		return false
	})
	return p
}

// TestGuard: KILL for the daemon leaves every service and the command as they are, and the next daemon has them.
func TestGuard(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		if !w.proc {
			t.Log("without /proc no process can be told from another: nothing is taken over")
			return
		}
		root, bin := t.TempDir(), t.TempDir()
		web := rig.Service(t, root, "web", sh("exec "+named(t, bin, "web")+" 1000000"))
		d := w.start(t, []string{"--guard", "--stop-timeout=60s", root, "--", named(t, bin, "command"), "1000000"})
		service, command := d.member("web"), d.member("command")
		old := 0
		for range 2 {
			daemon := d.guarded(old)
			harness.Eventually(t, "it supervises the service", func() bool { return rig.Supervised(web) })
			old = daemon.pid
			syscall.Kill(old, syscall.SIGKILL)
			harness.Eventually(t, "it is gone", func() bool { return syscall.Kill(old, 0) != nil })
		}
		d.guarded(old)
		harness.Eventually(t, "the service is supervised again", func() bool { return rig.Supervised(web) })
		if now := d.member("web"); now.pid != service.pid {
			t.Errorf("the service was %d and is %d", service.pid, now.pid)
		}
		if now := d.member("command"); now.pid != command.pid {
			t.Errorf("the command was %d and is %d", command.pid, now.pid)
		}
		syscall.Kill(service.pid, syscall.SIGKILL)
		harness.Eventually(t, "the service is restarted", func() bool {
			now := d.member("web")
			return now.pid != service.pid && now.parent == d.guarded(0).pid
		})
		d.ends(syscall.SIGTERM, slack, 128+15)
	})
}

// TestGuardedAlone: the same for a command where there is no root.
func TestGuardedAlone(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	d := worlds[0].start(t, []string{"--guard", "--", "/bin/sh", "-c", "trap 'exit 7' TERM; " + named(t, bin, "command") + " 1000000 & wait; exit 7"})
	command := d.member("command")
	daemon := d.guarded(0)
	syscall.Kill(daemon.pid, syscall.SIGKILL)
	d.guarded(daemon.pid)
	if now := d.member("command"); now.pid != command.pid {
		t.Errorf("the command was %d and is %d", command.pid, now.pid)
	}
	if code := d.Stop(syscall.SIGTERM, slack); code != 7 {
		t.Errorf("exit code %d", code)
	}
}

// TestGuardPassesOn: exit codes of the daemon, and that there is no daemon.
func TestGuardPassesOn(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		for _, code := range []int{0, 2, 7} {
			d := w.start(t, []string{"--guard", "--", "/bin/sh", "-c", fmt.Sprintf("exit %d", code)})
			if got := d.Wait(); got != code && (w.proc || code != 2) {
				t.Errorf("exit code %d, want %d", got, code)
			}
			if !w.proc {
				break // a 2 cannot be told from a breakdown there
			}
		}
		d := w.start(t, []string{"--guard", filepath.Join(t.TempDir(), "nothing")})
		if got := d.Wait(); got != 111 {
			t.Errorf("exit code %d without a root", got)
		}
	})
}
