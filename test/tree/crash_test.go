package tree_test

import (
	"testing"

	"upkeep/test/harness"
)

// lonely is a script that says whether the escapee of an earlier life still lives when it starts. A dead one
// that nobody has reaped yet does not count.
const lonely = `trap 'echo leader >>said; exit 0' TERM
read pid <escaped && grep -q escapee /proc/$pid/cmdline && echo both >>said
rm -f escaped
(setsid sh ./escapee &)
until [ -s escaped ]; do sleep 0.02; done
echo up >>said
while :; do sleep 0.05; done`

// TestCrash: what a crash has left behind stays, as with the original.
func TestCrash(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", lonely, "notes/escapee", polite)
	h.open()
	s.says("up")
	escapee := s.pid("escaped")
	s.svc("k")
	s.says("up", "both", "up")
	lives(t, escapee, s.pid("escaped"))
	s.await("counted with what was left", func(v view) bool { return v.Usage != nil && v.Usage.Tasks != nil && *v.Usage.Tasks >= 3 })
	s.svc("d")
	s.says("up", "both", "up", "leader", "escapee", "escapee")
	dies(t, escapee)
}

// TestKillTree: with a kill-tree file there are never two generations.
func TestKillTree(t *testing.T) {
	for _, c := range []struct {
		name, escapee, timeout string
		said                   []string // between two lives
	}{
		{"polite, with a time", polite, "20000\n", []string{"escapee"}},
		{"stubborn, with a time", stubborn, "1500\n", []string{"escapee"}},
		{"deaf, without", deaf, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			files := []string{"notes/escapee", c.escapee, "kill-tree", "\n"}
			if c.timeout != "" {
				files = append(files, "timeout-kill", c.timeout)
			}
			s := h.service("web", lonely, files...)
			h.open()
			s.says("up")
			said := []string{"up"}
			for range 2 {
				pid, escapee := s.up(), s.pid("escaped")
				s.svc("k")
				dies(t, pid)
				dies(t, escapee)
				said = append(append(said, c.said...), "up")
				s.says(said...)
			}
		})
	}
}

// TestKillTreeAfterDown: kill-tree counts for a start that was asked for too.
func TestKillTreeAfterDown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", lonely, "notes/escapee", deaf, "kill-tree", "\n")
	h.open()
	s.says("up")
	escapee := s.pid("escaped")
	s.svc("d")
	s.says("up", "leader")
	s.phase("down")
	lives(t, escapee)
	s.svc("u")
	s.says("up", "leader", "up")
	dies(t, escapee)
}

// TestKillTreeIsRead: a kill-tree file counts from the next start on, and no longer when it is gone.
func TestKillTreeIsRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", lonely, "notes/escapee", deaf)
	h.open()
	s.says("up")
	s.svc("k")
	s.says("up", "both", "up")
	s.write("kill-tree", "")
	s.svc("k")
	s.says("up", "both", "up", "up")
	s.remove("kill-tree")
	s.svc("k")
	s.says("up", "both", "up", "up", "both", "up")
}

// TestDownWhileClearing: a service that waits for its tree to be empty can be told to stay down.
func TestDownWhileClearing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", lonely, "notes/escapee", stubborn, "kill-tree", "\n", "timeout-kill", "100000000\n")
	h.open()
	s.says("up")
	group, escapee := s.group(), s.pid("escaped")
	s.svc("k")
	s.phase("clearing")
	s.says("up", "escapee")
	s.svc("d")
	lives(t, escapee)
	s.svc("k")
	s.phase("down")
	harness.Eventually(t, "the group is empty", func() bool { return empty(group) })
	s.says("up", "escapee")
}

// TestDownWhileWaiting: what a crash has left behind is told to end when the service is to be down.
func TestDownWhileWaiting(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", "(setsid sh ./escapee &)\nuntil [ -s escaped ]; do sleep 0.02; done\necho up >>said\nkill -KILL $$",
		"notes/escapee", polite, "backoff", "100\n")
	h.open()
	s.says("up")
	s.phase("waiting")
	group := s.group()
	s.svc("d")
	s.phase("down")
	harness.Eventually(t, "the group is empty", func() bool { return empty(group) })
}
