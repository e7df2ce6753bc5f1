package tree_test

import (
	"fmt"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// TestMany: two hundred services start, each in its group.
func TestMany(t *testing.T) {
	t.Parallel()
	const n = 200
	h := newHouse(t)
	var dirs []string
	for i := range n {
		dirs = append(dirs, h.service(fmt.Sprintf("s%03d", i), "exec sleep 1000000").dir)
	}
	h.open("--cgroup=auto", "--stop-timeout=60s")
	var list []view
	harness.Eventually(t, "all are up", func() bool {
		list = views(t, dirs...)
		for _, v := range list {
			if v.Phase != "up" || v.Cgroup == nil {
				return false
			}
		}
		return true
	})
	seen := make(map[string]bool)
	for i, v := range list {
		if seen[*v.Cgroup] {
			t.Errorf("%s is another one's group", *v.Cgroup)
		}
		seen[*v.Cgroup] = true
		if got := procs(*v.Cgroup); len(got) != 1 || got[0] != itoa(v.Pid) {
			t.Errorf("%s: %v in %s, not %d", dirs[i], got, *v.Cgroup, v.Pid)
		}
	}
	h.ends(syscall.SIGTERM, 2*slack)
}

// TestLargeTree: a tree of a thousand processes that do not end on TERM is killed.
func TestLargeTree(t *testing.T) {
	t.Parallel()
	const n = 1000
	h := newHouse(t)
	crowd := fmt.Sprintf("trap '' TERM\ni=0\nwhile [ $i -lt %d ]; do sleep 1000000 & i=$((i+1)); done\necho up >>said\nwait\n", n)
	s := h.service("web", "(setsid sh ./crowd &)\nexec sleep 1000000", "notes/crowd", crowd, "timeout-kill", "100\n")
	h.open()
	s.says("up")
	group := s.group()
	if now := len(procs(group)); now != n+2 {
		t.Errorf("there are %d processes", now)
	}
	s.svc("d")
	harness.Eventually(t, "the group is empty", func() bool { return empty(group) })
	s.phase("down")
	harness.Eventually(t, "all are reaped", func() bool { return len(h.members()) == 0 })
	s.svc("u") // after a group was killed the service can be in it again
	s.says("up", "up")
	s.svc("d")
	harness.Eventually(t, "the group is empty again", func() bool { return empty(group) })
	h.ends(syscall.SIGTERM, slack)
}
