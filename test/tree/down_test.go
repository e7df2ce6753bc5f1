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

// TestLeaderFirst: the rest of the tree is told to end when the leader has, and not before.
func TestLeaderFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	slow := `trap 'echo leader >>said; until [ -e go ]; do sleep 0.02; done; exit 0' TERM
(setsid sh ./escapee &)
until [ -s escaped ]; do sleep 0.02; done
echo up >>said
while :; do sleep 0.05; done`
	s := h.service("web", slow, "notes/escapee", polite)
	h.open()
	s.says("up")
	group, escapee := s.group(), s.pid("escaped")
	s.svc("d")
	s.says("up", "leader")
	s.phase("stopping")
	lives(t, escapee)
	s.tell("go")
	s.says("up", "leader", "escapee")
	dies(t, escapee)
	harness.Eventually(t, "the group is empty", func() bool { return empty(group) })
	s.phase("down")
}

// TestTimeoutKill: who does not end on TERM is killed, not much before the time.
func TestTimeoutKill(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", leader, "notes/escapee", stubborn, "timeout-kill", "2000\n")
	h.open()
	s.says("up")
	group, escapee := s.group(), s.pid("escaped")
	begin := time.Now()
	s.svc("d")
	s.says("up", "leader", "escapee")
	dies(t, escapee)
	if took := time.Since(begin); took < 2*time.Second {
		t.Errorf("it had only %v", took)
	}
	harness.Eventually(t, "the group is empty", func() bool { return empty(group) })
	s.phase("down")
}

// TestTimeoutKillOfLeader: a leader that does not end on TERM is killed with all it has started.
func TestTimeoutKillOfLeader(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", "trap 'echo leader >>said' TERM\n(setsid sh ./escapee &)\nuntil [ -s escaped ]; do sleep 0.02; done\n"+
		"echo up >>said\nwhile :; do sleep 0.05; done", "notes/escapee", stubborn, "timeout-kill", "2000\n")
	h.open()
	s.says("up")
	escapee, group := s.pid("escaped"), s.group()
	s.svc("d")
	s.phase("down")
	dies(t, escapee)
	harness.Eventually(t, "the group is empty", func() bool { return empty(group) })
	s.says("up", "leader")
}

// TestStubbornStays: without timeout-kill what does not end stays, and keeps nothing from starting beside it.
func TestStubbornStays(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", leader, "notes/escapee", stubborn)
	h.open()
	s.says("up")
	escapee := s.pid("escaped")
	s.svc("d")
	s.says("up", "leader", "escapee")
	s.phase("down")
	os.Remove(filepath.Join(s.notes, "escaped"))
	s.svc("u")
	pid := s.up()
	s.says("up", "leader", "escapee", "up")
	second := s.pid("escaped")
	lives(t, pid, escapee, second)
	h.ends(syscall.SIGTERM, time.Second+slack)
}

// TestAgainWithinTimeout: the time of a leftover is over once the service is wanted up again.
func TestAgainWithinTimeout(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", leader, "notes/escapee", stubborn, "timeout-kill", "3000\n")
	other := h.service("other", leader, "notes/escapee", stubborn, "timeout-kill", "3000\n")
	h.open()
	s.says("up")
	other.says("up")
	escapee := s.pid("escaped")
	begin := time.Now()
	s.svc("d")
	s.says("up", "leader", "escapee")
	s.phase("down")
	s.svc("u")
	pid := s.up()
	if time.Since(begin) > 3*time.Second {
		return // the machine is so busy that the time was over before the start
	}
	other.svc("d") // whose time ends later
	dies(t, other.pid("escaped"))
	lives(t, pid, escapee)
}

// TestClearing: with x the service is supervised until its tree is empty, and k kills what is left.
func TestClearing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", leader, "notes/escapee", stubborn)
	h.open()
	s.says("up")
	group, escapee := s.group(), s.pid("escaped")
	s.unlist()
	h.EventuallySays("web", "removed")
	s.svc("dx")
	s.says("up", "leader", "escapee")
	s.phase("clearing")
	if long := rig.Client(t, "svstat", "--long", s.dir); !has(long, "clearing") || !has(long, "cause") {
		t.Errorf("svstat --long: %s", long)
	}
	if _, code := harness.Run(t, harness.Bin(t, "svok"), s.dir); code != 0 {
		t.Error("svok: it is supervised no longer")
	}
	lives(t, escapee)
	s.svc("k")
	dies(t, escapee)
	harness.Eventually(t, "svok says that it is over", func() bool {
		_, code := harness.Run(t, harness.Bin(t, "svok"), s.dir)
		return code == 100
	})
	harness.Eventually(t, "the group is gone", func() bool { return gone(group) && gone(filepath.Dir(group)) })
	if v := s.view(); v.Cgroup != nil || v.Usage != nil {
		t.Errorf("it still has a group: %v", *v.Cgroup)
	}
}

// TestClearingTimeout: timeout-kill counts for what is to be empty too.
func TestClearingTimeout(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", leader, "notes/escapee", stubborn, "timeout-kill", "300\n")
	h.open()
	s.says("up")
	group, escapee := s.group(), s.pid("escaped")
	s.unlist()
	h.EventuallySays("web", "removed")
	s.svc("dx")
	dies(t, escapee)
	harness.Eventually(t, "the group is gone", func() bool { return gone(filepath.Dir(group)) })
}

// TestExitAlone: x alone waits for the end, and then tells the rest to end.
func TestExitAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", leader, "notes/escapee", polite)
	h.open()
	s.says("up")
	group, escapee := s.group(), s.pid("escaped")
	s.unlist()
	h.EventuallySays("web", "removed")
	s.svc("x")
	lives(t, escapee, s.up())
	s.svc("t")
	s.says("up", "leader", "escapee")
	harness.Eventually(t, "the group is gone", func() bool { return gone(filepath.Dir(group)) })
}
