package tree_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// beating is an escapee that counts for as long as it lives.
const beating = "echo $$ >escaped\nwhile :; do echo >>beats; sleep 0.02; done\n"

func (s *service) beats() int64 {
	st, err := os.Stat(filepath.Join(s.notes, "beats"))
	if err != nil {
		return 0
	}
	return st.Size()
}

func (s *service) goesOn() {
	s.t.Helper()
	before := s.beats()
	harness.Eventually(s.t, "the child goes on", func() bool { return s.beats() > before+1 })
}

// paused pauses a service that has more than one process.
func (h *house) paused(files ...string) (s *service, group string) {
	h.t.Helper()
	s = h.service("web", leader, append([]string{"notes/escapee", beating}, files...)...)
	h.open()
	s.says("up")
	group = s.group()
	s.goesOn()
	s.svc("p")
	harness.Eventually(h.t, "the tree is frozen", func() bool { return event(group, "frozen") == "1" })
	return s, group
}

func TestPause(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s, group := h.paused()
	before := s.beats()
	time.Sleep(200 * time.Millisecond) // there is nothing to wait for
	if now := s.beats(); now != before {
		t.Errorf("the child went on: %d, then %d", before, now)
	}
	if status, _ := rig.StatusOf(filepath.Join(s.dir, "supervise")); !status.Paused {
		t.Error("the status does not say that it is paused")
	}
	if v := s.view(); !v.Paused || v.Phase != "up" {
		t.Errorf("svstat says %+v", v)
	}
	s.svc("c")
	harness.Eventually(t, "the tree is thawed", func() bool { return event(group, "frozen") == "0" })
	s.goesOn()
	if v := s.await("not paused", func(v view) bool { return !v.Paused }); v.Phase != "up" {
		t.Errorf("svstat says %+v", v)
	}
	s.svc("p")
	harness.Eventually(t, "the tree is frozen again", func() bool { return event(group, "frozen") == "1" })
	h.ends(syscall.SIGTERM, slack)
}

// TestDownWhilePaused: a paused tree is let go on, so that it can end.
func TestDownWhilePaused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s, group := h.paused()
	s.svc("d")
	s.says("up", "leader")
	dies(t, s.pid("escaped"))
	harness.Eventually(t, "the group is empty", func() bool { return empty(group) })
	if now := read(filepath.Join(group, "cgroup.freeze")); now != "0" {
		t.Errorf("cgroup.freeze is %q", now)
	}
}

// TestKillWhilePaused: the next leader finds nothing frozen.
func TestKillWhilePaused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s, group := h.paused()
	pid := s.up()
	s.svc("k")
	rig.NewPid(t, s.dir, pid)
	s.says("up", "up")
	s.goesOn()
	harness.Eventually(t, "the tree is thawed", func() bool { return event(group, "frozen") == "0" })
	if v := s.view(); v.Paused {
		t.Errorf("svstat says %+v", v)
	}
}

// TestKillTreeWhilePaused: kill-tree ends what was frozen.
func TestKillTreeWhilePaused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s, _ := h.paused("kill-tree", "\n")
	escapee := s.pid("escaped")
	s.svc("k")
	dies(t, escapee)
	s.says("up", "up")
	s.goesOn()
}

// TestPauseOfOne: a process alone is stopped and not frozen.
func TestPauseOfOne(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", "exec sleep 1000000")
	h.open()
	pid, group := s.up(), s.group()
	// Each letter writes the status before the group is looked at, so a second one tells that the first is done.
	s.svc("p")
	s.await("paused", func(v view) bool { return v.Paused })
	s.svc("c")
	s.await("not paused", func(v view) bool { return !v.Paused })
	s.svc("p")
	harness.Eventually(t, "it is stopped", func() bool { return rig.ProcState(pid) == "T" })
	if now := read(filepath.Join(group, "cgroup.freeze")); now != "0" {
		t.Errorf("cgroup.freeze is %q", now)
	}
	s.svc("c")
	harness.Eventually(t, "it goes on", func() bool { return rig.ProcState(pid) == "S" })
	s.svc("p")
	s.svc("d")
	s.phase("down")
}
