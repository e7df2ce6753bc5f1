package resume_test

import (
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// ctl gives the daemon an order and returns the exit code.
func ctl(t *testing.T, h *house, order string) int {
	t.Helper()
	_, code := harness.Run(t, harness.Bin(t, "upkeep"), "ctl", order, h.root)
	return code
}

func ctlSays(t *testing.T, h *house, order string) string {
	t.Helper()
	out, _ := harness.Run(t, harness.Bin(t, "upkeep"), "ctl", order, h.root)
	return out
}

// listens waits until the daemon hears orders.
func (h *house) listens() {
	h.t.Helper()
	harness.Eventually(h.t, "the daemon listens", func() bool { return ctl(h.t, h, "status") == 0 })
}

func TestCtl(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", long)
	if out, code := harness.Run(t, h.program, "ctl", "status", h.root); code != 111 || !strings.Contains(out, "no upkeep supervises it") {
		t.Errorf("without a daemon: %d: %s", code, out)
	}
	h.open()
	pid := s.begun()
	h.listens()
	for _, word := range []string{"root " + h.root + "\n", "services ", "resumed 0\n", "program "} {
		if out := ctlSays(t, h, "status"); !strings.Contains(out, word) {
			t.Errorf("status does not say %q: %s", word, out)
		}
	}
	if out, code := harness.Run(t, h.program, "ctl", "rescan", h.root); code != 0 {
		t.Errorf("rescan: %d: %s", code, out)
	}
	for _, args := range [][]string{{}, {"bad"}, {"status", h.root, h.root}, {"--nonsense", "status"}} {
		if out, code := harness.Run(t, h.program, append([]string{"ctl"}, args...)...); code != 100 || !strings.Contains(out, "usage") {
			t.Errorf("%q: %d: %s", args, code, out)
		}
	}
	h.kill()
	if out, code := harness.Run(t, h.program, "ctl", "upgrade", h.root); code != 111 || !strings.Contains(out, "no upkeep supervises it") {
		t.Errorf("with a dead daemon: %d: %s", code, out)
	}
	h.open()
	s.same(pid, 1)
	h.listens()
	if out, code := harness.Run(t, h.program, "ctl", "stop", h.root); code != 0 {
		t.Errorf("stop: %d: %s", code, out)
	}
	if code := h.Wait(); code != 0 {
		t.Errorf("exit code %d after stop", code)
	}
	dies(t, pid)
}

// TestCtlState: the orders are where the state is.
func TestCtlState(t *testing.T) {
	state := t.TempDir()
	h := newHouse(t, "--state="+state)
	s := h.service("web", long)
	h.open()
	s.begun()
	harness.Eventually(t, "the daemon listens", func() bool {
		_, code := harness.Run(t, h.program, "ctl", "--state="+state, "status", h.root)
		return code == 0
	})
	if code := ctl(t, h, "status"); code != 111 {
		t.Errorf("exit code %d where the state is elsewhere", code)
	}
}

// TestSecond: a root has one daemon, and the first goes on.
func TestSecond(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", long)
	h.open()
	pid := s.begun()
	out, code := harness.Run(t, h.program, h.root)
	if code != 111 || !strings.Contains(out, "another upkeep") {
		t.Errorf("a second daemon: %d: %s", code, out)
	}
	s.same(pid, 1)
	kill(t, h.Pid(), syscall.SIGHUP)
	h.listens()
}
