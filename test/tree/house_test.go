package tree_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// serial makes names unique in this process.
var serial atomic.Int64

// A house is a root and the daemon on it.
type house struct {
	*rig.Upkeep
	t    *testing.T
	top  string
	root string
	name string // of the root, which no other root has
	mark string // the environment variable by which the daemon's processes are known
}

func newHouse(t *testing.T) *house {
	t.Helper()
	needGroups(t)
	top := t.TempDir()
	name := harness.UniqueName("tree")
	h := &house{t: t, top: top, name: name, root: filepath.Join(top, name), mark: "UPKEEP_TEST_TREE=" + top}
	if err := os.Mkdir(h.root, 0o755); err != nil {
		t.Fatal(err)
	}
	return h
}

// open starts the daemon in a cgroup of its own. wrap is a command that is to execute it, in a mount
// namespace of its own.
func (h *house) open(args ...string) *house {
	h.t.Helper()
	h.Upkeep = h.launch(nil, nil, args...)
	return h
}

// openShared starts the daemon where this test is, among others.
func (h *house) openShared(args ...string) *house {
	h.t.Helper()
	own, err := os.Open(needGroups(h.t))
	if err != nil {
		h.t.Fatal(err)
	}
	defer own.Close()
	h.t.Cleanup(func() { // when the daemon has ended
		for _, dir := range groupsNamed("upkeep-" + h.name + "-*") {
			endGroup(h.t, dir)
		}
	})
	h.Upkeep = h.launch(own, nil, args...)
	return h
}

func (h *house) launch(group *os.File, wrap []string, args ...string) *rig.Upkeep {
	h.t.Helper()
	// Without an order of its own a test does not wait for the stubborn at its end.
	args = append([]string{"--stop-timeout=1s"}, args...)
	cmd := rig.Command(h.t, append(args, h.root)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if group != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	}
	if wrap != nil {
		cmd.Args = append(wrap, cmd.Args...)
		cmd.Path = wrap[0]
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
	}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C", h.mark}
	return rig.Start(h.t, cmd)
}

// ends stops the daemon in time, with nothing left.
func (h *house) ends(sig syscall.Signal, limit time.Duration) {
	h.t.Helper()
	if code := h.Stop(sig, limit); code != 0 {
		h.t.Errorf("exit code %d on %v", code, sig)
	}
	h.nothingLeft()
}

func (h *house) nothingLeft() {
	h.t.Helper()
	if left := h.members(); len(left) > 0 {
		h.t.Errorf("left behind: %v", left)
	}
	if left := groupsNamed("upkeep-" + h.name + "-*"); len(left) > 0 {
		h.t.Errorf("groups left behind: %v", left)
	}
}

// members are the living processes that have the daemon's environment, without the daemon.
func (h *house) members() (list []string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if h.Upkeep != nil && pid == h.Pid() || !rig.Alive(pid) {
			continue
		}
		env, _ := os.ReadFile(dir + "/environ")
		if strings.Contains("\x00"+string(env)+"\x00", "\x00"+h.mark+"\x00") {
			comm := read(dir + "/comm")
			list = append(list, fmt.Sprintf("%d (%s)", pid, comm))
		}
	}
	return list
}

// A service is seen from outside. It works in a directory beside the root, its notes.
type service struct {
	t          *testing.T
	dir, notes string
}

// service makes a service whose run is a script. files are names and contents in its directory, or, where the
// name begins with notes/, among its notes.
func (h *house) service(name, script string, files ...string) *service {
	h.t.Helper()
	s := &service{t: h.t, notes: filepath.Join(h.top, fmt.Sprintf("notes%d", serial.Add(1)))}
	if err := os.Mkdir(s.notes, 0o755); err != nil {
		h.t.Fatal(err)
	}
	var own []string
	for ; len(files) > 1; files = files[2:] {
		if note, ok := strings.CutPrefix(files[0], "notes/"); ok {
			harness.WriteFile(h.t, filepath.Join(s.notes, note), files[1], 0o644)
		} else {
			own = append(own, files[0], files[1])
		}
	}
	// Some names have no room for a dot before them.
	built := rig.Service(h.t, filepath.Join(h.top, "building"), "it", sh("cd "+s.notes, script), own...)
	s.dir = filepath.Join(h.root, name)
	if err := os.Rename(built, s.dir); err != nil {
		h.t.Fatal(err)
	}
	return s
}

// A view is what svstat --json says.
type view struct {
	Supervised *bool
	Up         *bool
	Pid        int
	Phase      string
	Paused     bool
	Cause      string
	Cgroup     *string
	Usage      *struct {
		Memory   *uint64
		CPU      *float64 `json:"cpu_seconds"`
		Tasks    *int
		Pressure map[string]*struct{ Some, Full *float64 }
	}
	Log *view
}

func views(t *testing.T, dirs ...string) (list []view) {
	t.Helper()
	out := rig.Client(t, "svstat", append([]string{"--json"}, dirs...)...)
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != len(dirs) {
		t.Fatalf("svstat --json: %v: %s", err, out)
	}
	return list
}

func (s *service) view() view {
	s.t.Helper()
	return views(s.t, s.dir)[0]
}

func (s *service) await(what string, cond func(v view) bool) (v view) {
	s.t.Helper()
	harness.Eventually(s.t, filepath.Base(s.dir)+" is "+what, func() bool { v = s.view(); return cond(v) })
	return v
}

func (s *service) phase(phase string) view {
	s.t.Helper()
	return s.await("in the phase "+phase, func(v view) bool { return v.Phase == phase })
}

// group is the service's, once it is supervised.
func (s *service) group() string {
	s.t.Helper()
	return *s.await("in a group", func(v view) bool { return v.Cgroup != nil }).Cgroup
}

func (s *service) svc(letters string) {
	s.t.Helper()
	rig.Svc(s.t, letters, s.dir)
}

func (s *service) up() int {
	s.t.Helper()
	return rig.Up(s.t, s.dir)
}

func (s *service) note(name string) string { return read(filepath.Join(s.notes, name)) }

// says waits until the notes of what was said have exactly these words, in their order.
func (s *service) says(words ...string) {
	s.t.Helper()
	want := strings.Join(words, " ")
	var got string
	defer func() {
		if got != want {
			s.t.Errorf("it said %q, not %q", got, want)
		}
	}()
	harness.Eventually(s.t, fmt.Sprintf("it has said %q", want), func() bool {
		got = strings.Join(strings.Fields(s.note("said")), " ")
		return got == want
	})
}

// pid reads a process id from a note, once it is there.
func (s *service) pid(note string) (pid int) {
	s.t.Helper()
	harness.Eventually(s.t, "there is a pid in "+note, func() bool {
		pid, _ = strconv.Atoi(s.note(note))
		return pid != 0
	})
	return pid
}

func (s *service) write(name, text string) {
	s.t.Helper()
	// A file that is replaced is never seen half written.
	path := filepath.Join(s.dir, name)
	next := filepath.Join(s.notes, "next")
	harness.WriteFile(s.t, next, text, 0o644)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) tell(name string) {
	s.t.Helper()
	harness.WriteFile(s.t, filepath.Join(s.notes, name), "", 0o644)
}

func (s *service) remove(name string) {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

// unlist takes the service out of the root, so that it is not taken up again.
func (s *service) unlist() {
	s.t.Helper()
	to := filepath.Join(s.notes, "unlisted")
	if err := os.Rename(s.dir, to); err != nil {
		s.t.Fatal(err)
	}
	s.dir = to
}

func dies(t *testing.T, pid int) {
	t.Helper()
	harness.Eventually(t, fmt.Sprintf("process %d has ended", pid), func() bool { return !rig.Alive(pid) })
}

func lives(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if !rig.Alive(pid) {
			t.Errorf("process %d has ended", pid)
		}
	}
}

// leader is a script that starts the escapee among its notes, says that it is up when that is, and ends on TERM.
const leader = `trap 'echo leader >>said; exit 0' TERM
(setsid sh ./escapee &)
until [ -s escaped ]; do sleep 0.02; done
echo up >>said
while :; do sleep 0.05; done`

// polite is an escapee that ends on TERM, stubborn is one that does not; deaf is one that does not even say so,
// for which a busy machine may need longer than a short time to end.
const (
	deaf     = "trap '' TERM\necho $$ >escaped\nwhile :; do sleep 0.05; done\n"
	polite   = "trap 'echo escapee >>said; exit 0' TERM\necho $$ >escaped\nwhile :; do sleep 0.05; done\n"
	stubborn = "trap 'echo escapee >>said' TERM\necho $$ >escaped\nwhile :; do sleep 0.05; done\n"
)
