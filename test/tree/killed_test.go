package tree_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// A kernel may kill whatever is born in a group that was killed once: these tests see to it that services
// come back all the same.

// TestUpAfterKill: a service starts again in the group in which all was killed.
func TestUpAfterKill(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", leader, "notes/escapee", deaf, "timeout-kill", "2000\n")
	h.open()
	s.says("up")
	said := []string{"up"}
	for range 3 {
		escapee := s.pid("escaped")
		os.Remove(filepath.Join(s.notes, "escaped"))
		s.svc("d")
		said = append(said, "leader")
		s.says(said...)
		dies(t, escapee)
		s.svc("u")
		said = append(said, "up")
		s.says(said...)
		if pid := s.up(); itsGroup(pid) != s.group() {
			t.Errorf("it is in %s", itsGroup(pid))
		}
	}
	if v := s.view(); v.Phase != "up" {
		t.Errorf("it is %s", v.Phase)
	}
	h.ends(syscall.SIGTERM, slack)
}

// TestKilledFromOutside: somebody has killed the group of a service by hand.
func TestKilledFromOutside(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", leader, "notes/escapee", polite, "cgroup/pids.max", "100\n")
	h.open()
	s.says("up")
	pid, escapee := s.up(), s.pid("escaped")
	os.Remove(filepath.Join(s.notes, "escaped"))
	killGroup(t, s.group())
	dies(t, pid)
	dies(t, escapee)
	s.says("up", "up")
	pid = s.up()
	s.svc("t")
	rig.NewPid(t, s.dir, pid)
	s.says("up", "up", "leader", "up")
	h.ends(syscall.SIGTERM, slack)
}

// TestAllKilledFromOutside: everything was killed with its groups, as by a service manager.
func TestAllKilledFromOutside(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dir := newGroup(t)
	s := h.service("web", leader, "notes/escapee", polite, "log/run", sh("exec cat >/dev/null"))
	h.open("--cgroup=" + dir)
	s.says("up")
	rig.Up(t, filepath.Join(s.dir, "log"))
	killGroup(t, dir)
	h.Wait()
	harness.Eventually(t, "all is dead", func() bool { return empty(dir) })
	os.Remove(filepath.Join(s.notes, "escaped"))
	h.open("--cgroup=" + dir)
	s.says("up", "up")
	rig.Up(t, filepath.Join(s.dir, "log"))
	if pid := s.up(); itsGroup(pid) != s.group() {
		t.Errorf("it is in %s", itsGroup(pid))
	}
	h.ends(syscall.SIGTERM, slack)
	if left := subgroups(dir); len(left) > 0 {
		t.Errorf("groups left behind: %v", left)
	}
}

func killGroup(t *testing.T, group string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(group, "cgroup.kill"), []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
}
