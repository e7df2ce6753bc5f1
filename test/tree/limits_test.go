package tree_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// forker is a script that tries to have twenty children when it is told to, says how that went, and ends them.
// Only what fails may need a process too many.
const forker = `echo up >>said
while :; do
	if [ -e try ]; then
		rm try
		sh ./fill 2>/dev/null
		echo $? >>said
		while read pid; do kill $pid; done <children
		: >children
	fi
	sleep 0.05
done`

const fill = `: >children
: >all
i=0
while [ $i -lt 20 ]; do
	sleep 1000000 &
	echo $! >>children
	echo $! >>all
	i=$((i+1))
done
`

// needController skips the test where a group made here has a controller in neither hierarchy.
func (h *house) needController(name string) {
	h.t.Helper()
	given := strings.Fields(read(filepath.Join(needGroups(h.t), "cgroup.subtree_control")))
	if groupOf("self", name) == "" && !contains(given, name) {
		harness.Skip(h.t, "there is no %s controller", name)
	}
}

// limited makes a service that forks when it is told to. It needs a host that can limit processes.
func (h *house) limited(files ...string) *service {
	h.t.Helper()
	h.needController("pids")
	return h.service("web", forker, append(files, "notes/fill", fill)...)
}

// pidsMax reads the limit that is in force for a process, in whatever hierarchy.
func pidsMax(pid int) string {
	if dir := groupOf(strconv.Itoa(pid), "pids"); dir != "" {
		return read(filepath.Join(dir, "pids.max"))
	}
	return read(filepath.Join(groupOf(strconv.Itoa(pid), ""), "pids.max"))
}

// tries tells the service to fork; it says 0 if it could, and 2, the shell's, if it was not let.
func (s *service) tries(before []string, result string) []string {
	s.t.Helper()
	s.tell("try")
	after := append(append([]string{}, before...), result)
	s.says(after...)
	harness.Eventually(s.t, "its children are gone", func() bool {
		for _, pid := range strings.Fields(s.note("all")) {
			if rig.ProcState(atoi(s.t, pid)) != "X" { // a zombie counts
				return false
			}
		}
		return true
	})
	return after
}

func (s *service) limitIs(pid int, want string) {
	s.t.Helper()
	harness.Eventually(s.t, "the limit is "+want, func() bool { return pidsMax(pid) == want })
}

// TestLimit: a limit is in force from the first instruction on, changes with its file, and goes with it.
func TestLimit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.limited("cgroup/pids.max", "10\n")
	h.open()
	s.says("up")
	pid := s.up()
	if now := pidsMax(pid); now != "10" {
		t.Errorf("the limit is %q", now)
	}
	said := s.tries([]string{"up"}, "2")
	s.write("cgroup/pids.max", "100\n")
	s.limitIs(pid, "100")
	said = s.tries(said, "0")
	s.write("cgroup/pids.max", "8\n")
	s.limitIs(pid, "8")
	said = s.tries(said, "2")
	s.remove("cgroup/pids.max")
	s.limitIs(pid, "max")
	said = s.tries(said, "0")
	s.write("cgroup/pids.max", "7\n")
	s.limitIs(pid, "7")
	s.remove("cgroup")
	s.limitIs(pid, "max")
	s.tries(said, "0")
	if now := s.up(); now != pid {
		t.Errorf("it was restarted: %d, then %d", pid, now)
	}
	s.write("cgroup/pids.max", "9\n")
	s.limitIs(pid, "9")
	h.ends(syscall.SIGTERM, slack)
}

// TestLimitLater: a cgroup directory that comes while the service runs counts, for what it has started too.
func TestLimitLater(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.limited()
	h.open()
	s.says("up")
	pid := s.up()
	said := s.tries([]string{"up"}, "0")
	s.write("cgroup/pids.max", "10\n")
	s.limitIs(pid, "10")
	s.tries(said, "2")
	if now := s.up(); now != pid {
		t.Errorf("it was restarted: %d, then %d", pid, now)
	}
	s.svc("k")
	s.limitIs(rig.NewPid(t, s.dir, pid), "10")
	h.ends(syscall.SIGTERM, slack)
}

// TestLimitOfTree: what has escaped is limited with the rest, also what runs when the limit comes.
func TestLimitOfTree(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.limited() // the host can do it
	s := h.service("deep", leader, "notes/escapee", polite)
	h.open()
	s.says("up")
	pid, escapee := s.up(), s.pid("escaped")
	s.write("cgroup/pids.max", "50\n")
	s.limitIs(pid, "50")
	s.limitIs(escapee, "50")
}

// TestRejectedLimit: a limit that cannot be keeps the service from starting, and says why, until it can.
func TestRejectedLimit(t *testing.T) {
	for _, c := range []struct{ file, text, reason string }{
		{"pids.max", "many", `"many" is not accepted`},
		{"nonsense.max", "1", "nonsense"},
		{"cgroup.kill", "1", "not a limit"},
		{"pids.nonsense", "1", ""},
		{"pids.max", "", "empty"},
	} {
		t.Run(c.file+" "+c.text, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			file := "cgroup/" + c.file
			s := h.limited(file, c.text+"\n")
			h.open()
			h.EventuallySays("upkeep: warning: web: ", file, c.reason)
			v := s.phase("waiting")
			if !strings.Contains(v.Cause, file) || !strings.Contains(v.Cause, c.reason) {
				t.Errorf("the cause is %q", v.Cause)
			}
			if long := rig.Client(t, "svstat", "--long", s.dir); !strings.Contains(long, "cause") || !strings.Contains(long, file) {
				t.Errorf("svstat --long: %s", long)
			}
			if c.file == "pids.max" {
				s.write(file, "100\n")
			} else {
				s.remove(file)
			}
			s.says("up") // by itself
			s.tries([]string{"up"}, "0")
			warnings := 0
			for line := range strings.Lines(h.Output()) {
				if strings.Contains(line, file) && strings.HasPrefix(line, "upkeep: ") {
					warnings++
				}
			}
			if warnings != 1 {
				t.Errorf("it was said %d times:\n%s", warnings, h.Output())
			}
			h.ends(syscall.SIGTERM, slack)
		})
	}
}

// TestCorrectedAtOnce: the correction is noticed when it is made, however long the pause is.
func TestCorrectedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.limited("cgroup/pids.max", "many\n", "backoff", "3600\n")
	h.open()
	h.EventuallySays("web", "cgroup/pids.max", "many")
	// The pause is long by now, or will be soon: attempts that fail double it.
	s.write("cgroup/pids.max", "100\n")
	s.says("up")
}

// TestTwoRejected: all files that are wrong are named, in one line.
func TestTwoRejected(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.limited("cgroup/pids.max", "many\n", "cgroup/nonsense.max", "1\n")
	h.open()
	h.EventuallySays("web", "cgroup/nonsense.max", "cgroup/pids.max")
	if strings.Contains(h.Output(), "?") {
		t.Errorf("the line has a character that is not shown: %s", h.Output())
	}
	if v := s.phase("waiting"); strings.Contains(v.Cause, "\n") {
		t.Errorf("the cause has two lines: %q", v.Cause)
	}
}

// TestRejectedWhileRunning: a wrong value leaves what runs alone, and is said once; the right one counts.
func TestRejectedWhileRunning(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.limited("cgroup/pids.max", "50\n")
	h.open()
	s.says("up")
	pid := s.up()
	s.write("cgroup/pids.max", "many\n")
	h.EventuallySays("upkeep: warning: web: ", "cgroup/pids.max", "many")
	s.limitIs(pid, "50")
	s.write("cgroup/pids.max", "60\n")
	s.limitIs(pid, "60")
	if now := s.up(); now != pid {
		t.Errorf("it was restarted: %d, then %d", pid, now)
	}
}

// TestLeftAside: what an editor leaves in the directory is no limit.
func TestLeftAside(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.limited("cgroup/pids.max", "50\n", "cgroup/.pids.max.swp", "x\n", "cgroup/pids.max~", "x\n", "cgroup/#pids.max#", "x\n")
	h.open()
	s.says("up")
	s.limitIs(s.up(), "50")
}

// TestLimitOfLoggers: a logger is not limited with its service.
func TestLimitOfLoggers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.limited("cgroup/pids.max", "50\n", "log/run", sh("exec cat >/dev/null"))
	h.open()
	s.limitIs(s.up(), "50")
	if now := pidsMax(rig.Up(t, filepath.Join(s.dir, "log"))); now == "50" {
		t.Error("the logger is limited")
	}
}

// TestMemoryLimit looks only at what the kernel was told, as does the next one.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	otherLimit(t, "memory", "memory.max", "64M\n", map[string]string{"memory.max": "67108864", "memory.limit_in_bytes": "67108864"})
}

func TestCPULimit(t *testing.T) {
	t.Parallel()
	otherLimit(t, "cpu", "cpu.max", "50000 100000\n", map[string]string{"cpu.max": "50000 100000", "cpu.cfs_quota_us": "50000"})
}

func otherLimit(t *testing.T, controller, file, text string, want map[string]string) {
	h := newHouse(t)
	h.needController(controller)
	s := h.service("web", "echo up >>said\nexec sleep 1000000", "cgroup/"+file, text)
	h.open()
	s.says("up")
	dir := groupOf(strconv.Itoa(s.up()), "")
	if groupOf("self", controller) != "" {
		dir = groupOf(strconv.Itoa(s.up()), controller)
	}
	seen := 0
	for name, value := range want {
		if path := filepath.Join(dir, name); !gone(path) {
			seen++
			if now := read(path); now != value {
				t.Errorf("%s is %q, not %q", path, now, value)
			}
		}
	}
	if seen == 0 {
		t.Errorf("no limit is in %s", dir)
	}
	h.ends(syscall.SIGTERM, slack)
}
