package tree_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// TestLogger: a logger is in a group of its own, and nothing that happens to its service happens to it.
func TestLogger(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", leader, "notes/escapee", deaf, "timeout-kill", "2000\n", "log/run", sh("sleep 1000000 &", "exec cat >/dev/null"))
	h.open()
	s.says("up")
	log := &service{t: t, dir: filepath.Join(s.dir, "log"), notes: s.notes}
	pid, escapee := log.up(), s.pid("escaped")
	group := log.group()
	if s.group() == group || filepath.Base(group) != "log" || filepath.Dir(group) != filepath.Dir(s.group()) {
		t.Errorf("the groups are %s and %s", s.group(), group)
	}
	if itsGroup(pid) != group || itsGroup(escapee) != s.group() {
		t.Errorf("the logger is in %s, the escapee in %s", itsGroup(pid), itsGroup(escapee))
	}
	log.await("two processes", func(v view) bool { return v.Usage != nil && v.Usage.Tasks != nil && *v.Usage.Tasks == 2 })
	if v := s.view(); v.Log == nil || v.Log.Cgroup == nil || *v.Log.Cgroup != group {
		t.Errorf("svstat says of the logger: %+v", v.Log)
	}
	s.svc("p")
	harness.Eventually(t, "the service is frozen", func() bool { return event(s.group(), "frozen") == "1" })
	if event(group, "frozen") != "0" {
		t.Error("the logger is frozen")
	}
	s.svc("d")
	s.says("up", "leader")
	dies(t, escapee) // killed with the tree
	s.phase("down")
	if now := log.up(); now != pid || len(procs(group)) != 2 {
		t.Errorf("the logger was %d, and is %d among %v", pid, now, procs(group))
	}
	log.svc("d") // which ends what it has started
	harness.Eventually(t, "the logger's group is empty", func() bool { return empty(group) })
	log.phase("down")
	h.ends(syscall.SIGTERM, slack)
}

func procs(group string) []string {
	return strings.Fields(read(filepath.Join(group, "cgroup.procs")))
}
