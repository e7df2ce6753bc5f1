package cgroup_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/cgroup"
	"upkeep/test/harness"
)

// openTree opens a tree of the test's own on this machine's hierarchy. Nothing may be left of it.
func openTree(t testing.TB) *cgroup.Tree {
	t.Helper()
	return openRoot(t, t.TempDir())
}

func openRoot(t testing.TB, root string) *cgroup.Tree {
	t.Helper()
	tree, err := cgroup.Open(cgroup.Options{Root: root})
	if err != nil {
		harness.Skip(t, "no cgroups can be had here: %v", err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Errorf("closing the tree: %v", err)
		}
		if left, _ := filepath.Glob(tree.Base() + "/*/run"); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
	})
	return tree
}

// newGroup makes a service's group, which is killed and removed at the end of the test.
func newGroup(t testing.TB, tree *cgroup.Tree, name string) *cgroup.Group {
	t.Helper()
	g := tree.Group(name, false)
	if _, err := g.Make(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.Kill()
		waitEmpty(t, tree, g)
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func waitEmpty(t testing.TB, tree *cgroup.Tree, g *cgroup.Group) {
	t.Helper()
	empty := make(chan bool)
	if _, err := g.WhenEmpty(func() { close(empty) }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-empty:
	case <-time.After(harness.Patience):
		t.Fatalf("%s never became empty", g.Path())
	}
	if pids, err := g.Pids(); err != nil || len(pids) > 0 {
		t.Errorf("in the empty group are %v (%v)", pids, err)
	}
}

// A script is a shell that was born in a group.
type script struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	t   testing.TB
}

// run starts a script. It gets the group's path as $1, and after it whatever it has to write to.
func run(t testing.TB, g *cgroup.Group, text string) *script {
	t.Helper()
	dir, err := os.Open(g.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	s := &script{Cmd: exec.Command("/bin/sh", append([]string{"-c", text, "sh", g.Path()}, g.V1Procs()...)...), t: t}
	s.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	s.in, _ = s.StdinPipe()
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s.Stdout, s.out = w, bufio.NewReader(out)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Process.Kill()
		s.Wait()
		out.Close()
	})
	return s
}

// expect reads a line of the script.
func (s *script) expect(want string) {
	s.t.Helper()
	line := make(chan string, 1)
	go func() {
		text, _ := s.out.ReadString('\n')
		line <- text
	}()
	select {
	case got := <-line:
		if got != want+"\n" {
			s.t.Fatalf("the script said %q, want %q", got, want)
		}
	case <-time.After(harness.Patience):
		s.t.Fatalf("the script never said %q", want)
	}
}

func TestMakeAndRemove(t *testing.T) {
	tree := openTree(t)
	run, log := tree.Group("web", false), tree.Group("web", true)
	if err := run.Remove(); err != nil {
		t.Errorf("removing what does not exist: %v", err)
	}
	if alive, err := run.Populated(); alive || err != nil {
		t.Errorf("what does not exist is populated %v (%v)", alive, err)
	}
	for range 2 {
		for _, g := range []*cgroup.Group{run, log} {
			if _, err := g.Make(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if run.Path() != tree.Base()+"/web/run" || log.Path() != tree.Base()+"/web/log" {
		t.Errorf("the groups are %s and %s", run.Path(), log.Path())
	}
	if alive, err := run.Populated(); alive || err != nil {
		t.Errorf("a new group is populated %v (%v)", alive, err)
	}
	if err := os.MkdirAll(run.Path()+"/a/b", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := run.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(log.Path()); err != nil {
		t.Errorf("the logger's group went with the service's: %v", err)
	}
	if err := log.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(tree.Base() + "/web"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("the service's node is left (%v)", err)
	}
}

func TestOddNames(t *testing.T) {
	tree := openTree(t)
	paths := make(map[string]bool)
	for _, name := range []string{
		"cgroup.procs", "memory.max", "supervisor", "tasks", "..", ".", "a/b", "a\nb", `a\x0ab`, "_", "", "_a", "caf\xe9",
		"\x01", strings.Repeat("x", 255), strings.Repeat("_", 255), strings.Repeat("\n", 255),
	} {
		g := newGroup(t, tree, name)
		if paths[g.Path()] {
			t.Errorf("%q shares its group", name)
		}
		paths[g.Path()] = true
	}
}

func TestKillTree(t *testing.T) {
	for name, kill := range map[string]func(*cgroup.Group) error{
		"by the kernel":  (*cgroup.Group).Kill,
		"one by one":     (*cgroup.Group).KillEach,
		"frozen before":  func(g *cgroup.Group) error { g.Freeze(true); return g.Kill() },
		"frozen, single": func(g *cgroup.Group) error { g.Freeze(true); return g.KillEach() },
	} {
		t.Run(name, func(t *testing.T) {
			tree := openTree(t)
			g := newGroup(t, tree, "web")
			// One escapes into a session, one into a group of its own making, and one ignores what it can.
			s := run(t, g, `
				setsid sleep 1000 &
				mkdir -p "$1/sub/sub" && sh -c 'echo 0 >"$1/sub/sub/cgroup.procs"; exec sleep 1000' sh "$1" &
				sh -c 'trap "" TERM HUP INT; echo ignoring; sleep 1000; sleep 1000' &
				while ! grep -q . "$1/sub/sub/cgroup.procs"; do :; done
				wait`)
			s.expect("ignoring")
			harness.Eventually(t, "all are where they want to be", func() bool {
				pids, err := g.Pids()
				sub, _ := os.ReadFile(g.Path() + "/sub/sub/cgroup.procs")
				return err == nil && len(pids) == 5 && len(sub) > 0
			})
			if alive, err := g.Populated(); !alive || err != nil {
				t.Errorf("populated %v (%v)", alive, err)
			}
			if err := g.Remove(); !errors.Is(err, cgroup.ErrPopulated) {
				t.Errorf("removing a group in which something lives: %v", err)
			}
			if err := kill(g); err != nil {
				t.Fatal(err)
			}
			waitEmpty(t, tree, g)
			if err := g.Remove(); err != nil {
				t.Error(err)
			}
			if err := g.Kill(); err != nil {
				t.Errorf("killing what does not exist: %v", err)
			}
		})
	}
}

func TestSignal(t *testing.T) {
	tree := openTree(t)
	g := newGroup(t, tree, "web")
	s := run(t, g, `setsid sleep 1000 & sleep 1000 & echo ready; wait; echo left; read line; echo "$line"`)
	other := newGroup(t, tree, "other")
	bystander := run(t, other, `echo ready; read line; echo "$line"`)
	s.expect("ready")
	bystander.expect("ready")
	if err := g.Signal(s.Process.Pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.expect("left")
	harness.Eventually(t, "the leader is alone", func() bool {
		pids, err := g.Pids()
		return err == nil && slices.Equal(pids, []int{s.Process.Pid})
	})
	io.WriteString(s.in, "alive\n")
	s.expect("alive")
	waitEmpty(t, tree, g)
	io.WriteString(bystander.in, "alive\n")
	bystander.expect("alive")
}

func TestFreeze(t *testing.T) {
	tree := openTree(t)
	g := newGroup(t, tree, "web")
	s := run(t, g, `trap 'echo heard; exit' TERM; echo ready; while :; do sleep 1000 & wait; done`)
	s.expect("ready")
	if err := g.Freeze(true); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "all are frozen", func() bool {
		text, _ := os.ReadFile(g.Path() + "/cgroup.events")
		return strings.Contains(string(text), "frozen 1\n")
	})
	s.Process.Signal(unix.SIGTERM)
	if err := g.Freeze(false); err != nil {
		t.Fatal(err)
	}
	s.expect("heard")
}

func TestWhenEmpty(t *testing.T) {
	for name, prepare := range map[string]func(*cgroup.Tree){
		"told": func(*cgroup.Tree) {}, "polled": (*cgroup.Tree).Poll,
	} {
		t.Run(name, func(t *testing.T) {
			const waiters = 3
			calls := make(chan int, 2*waiters)
			t.Cleanup(func() {
				if len(calls) > 0 {
					t.Error("somebody else was told, or twice")
				}
			})
			tree := openTree(t)
			prepare(tree)
			g := newGroup(t, tree, "web")
			called := false
			if _, err := g.WhenEmpty(func() { called = true }); err != nil || !called {
				t.Errorf("an empty group was not known to be empty (%v)", err)
			}
			s := run(t, g, `setsid sleep 1000 & echo ready; read line`)
			s.expect("ready")
			var cancels [waiters]func()
			for i := range waiters {
				var err error
				cancels[i], err = g.WhenEmpty(func() { calls <- i })
				if err != nil {
					t.Fatal(err)
				}
			}
			cancels[1]()
			cancels[1]()
			// That the leader is gone means nothing.
			s.in.Close()
			s.Wait()
			select {
			case <-calls:
				t.Error("a group was taken for empty in which something lives")
			default:
			}
			if err := g.Signal(0, unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			waitEmpty(t, tree, g)
			got := []int{<-calls, <-calls}
			slices.Sort(got)
			if !slices.Equal(got, []int{0, 2}) {
				t.Errorf("told were %v", got)
			}
			cancels[0]()
		})
	}
}

// TestClosedTree: nobody is told anything after Close, and what runs keeps its group.
func TestClosedTree(t *testing.T) {
	root := t.TempDir()
	tree := openRoot(t, root)
	g := newGroup(t, openRoot(t, root), "web")
	run(t, g, `echo ready; exec sleep 1000`).expect("ready")
	same := tree.Group("web", false)
	if _, err := same.WhenEmpty(func() { t.Error("a closed tree has told something") }); err != nil {
		t.Fatal(err)
	}
	empty := tree.Group("empty", false)
	if _, err := empty.Make(); err != nil {
		t.Fatal(err)
	}
	if err := tree.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := same.WhenEmpty(func() {}); err == nil {
		t.Error("a closed tree promises something")
	}
	if alive, _ := g.Populated(); !alive {
		t.Error("the service did not survive")
	}
	if _, err := os.Stat(empty.Path()); err == nil {
		t.Error("an empty group is left")
	}
}

// TestTwoTrees: upkeeps of different roots do not meet, and each finds its own place again.
func TestTwoTrees(t *testing.T) {
	roots := []string{t.TempDir(), t.TempDir()}
	one, two := openRoot(t, roots[0]), openRoot(t, roots[1])
	if one.Base() == two.Base() {
		t.Errorf("both are in %s", one.Base())
	}
	for i, tree := range []*cgroup.Tree{one, two} {
		// This process is in the second one's group, as if that had started it.
		again := openRoot(t, roots[i])
		if again.Base() != tree.Base() {
			t.Errorf("the base was %s and is now %s", tree.Base(), again.Base())
		}
	}
}

// TestNothingIsLeft: this process is back where it was.
func TestNothingIsLeft(t *testing.T) {
	before, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		harness.Skip(t, "%v", err)
	}
	tree := openTree(t)
	g := tree.Group("web", false)
	if _, err := g.Make(); err != nil {
		t.Fatal(err)
	}
	run(t, g, `echo ready; exec sleep 1000`).expect("ready")
	g.Kill()
	waitEmpty(t, tree, g)
	if during, _ := os.ReadFile("/proc/self/cgroup"); !strings.Contains(string(during), "/supervisor\n") {
		t.Errorf("upkeep is in %s", during)
	}
	if err := tree.Close(); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile("/proc/self/cgroup"); string(after) != string(before) {
		t.Errorf("this process was in\n%sand is now in\n%s", before, after)
	}
	for _, dir := range []string{"/web", "/supervisor"} {
		if _, err := os.Stat(tree.Base() + dir); err == nil {
			t.Errorf("%s is left", tree.Base()+dir)
		}
	}
}

// limit makes a cgroup directory of name and text pairs.
func limit(t *testing.T, pairs ...string) string {
	t.Helper()
	dir := t.TempDir() + "/cgroup"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if err := os.WriteFile(dir+"/"+pairs[i], []byte(pairs[i+1]+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// limits sets limits, or skips the test where the machine has not got the controller.
func limits(t *testing.T, g *cgroup.Group, dir string) {
	t.Helper()
	err := g.Limits(dir)
	if err != nil && strings.Contains(err.Error(), "controller: ") {
		harness.Skip(t, "%v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// enter is how a script gets into its groups in the v1 hierarchies.
const enter = `g="$1"; shift; for f; do echo 0 >"$f"; done; `

func TestPidsLimit(t *testing.T) {
	tree := openTree(t)
	g := newGroup(t, tree, "web")
	limits(t, g, limit(t, "pids.max", "3"))
	s := run(t, g, enter+`sleep 1000 & sleep 1000 & echo three; { sleep 1000 & } 2>/dev/null; echo four`)
	s.expect("three")
	if err := s.Wait(); err == nil {
		t.Error("the shell could fork once more")
	}
	g.Kill() // the pipe ends with the last of them
	if rest, _ := s.out.ReadString('\n'); rest == "four\n" {
		t.Error("a fourth process was started")
	}
}

// file returns the path of a limit: v1 is below the group of that hierarchy, if the machine has it there.
func limitPath(g *cgroup.Group, controller, v2, v1 string) string {
	for _, path := range g.V1Procs() {
		if strings.Contains(path, "/"+controller) {
			return filepath.Join(filepath.Dir(path), v1)
		}
	}
	return filepath.Join(g.Path(), v2)
}

func TestLimitsOnThisMachine(t *testing.T) {
	for name, test := range map[string]struct{ v1, text, is, unlimited string }{
		"memory.max": {"memory.limit_in_bytes", "64M", "67108864", ""},
		"pids.max":   {"pids.max", "17", "17", "max"},
		"cpu.max":    {"cpu.cfs_quota_us", "50000 200000", "50000", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tree := openTree(t)
			g := newGroup(t, tree, "web")
			// It runs already when the limit comes.
			s := run(t, g, `echo ready; exec sleep 1000`)
			s.expect("ready")
			dir := limit(t, name, test.text)
			limits(t, g, dir)
			controller, _, _ := strings.Cut(name, ".")
			path := limitPath(g, controller, name, test.v1)
			text, err := os.ReadFile(path)
			if got := string(text); err != nil || !strings.HasPrefix(got, test.is) {
				t.Errorf("%s holds %q (%v), want %q", path, got, err, test.is)
			}
			in, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cgroup.procs"))
			if want := fmt.Sprintln(s.Process.Pid); string(in) != want {
				t.Errorf("under the limit are %q, want %q", in, want)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte("12Q\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			err = g.Limits(dir)
			if want := fmt.Sprintf("cgroup/%s: \"12Q\" is not accepted: invalid argument", name); err == nil || err.Error() != want {
				t.Errorf("12Q: %v, want %s", err, want)
			}
			os.Remove(filepath.Join(dir, name))
			if err := g.Limits(dir); err != nil {
				t.Error(err)
			}
			now, err := os.ReadFile(path)
			if strings.HasPrefix(string(now), test.is) || err != nil {
				t.Errorf("the limit outlived its file: %q (%v)", now, err)
			}
			g.Kill()
			waitEmpty(t, tree, g)
			s.Wait()
			if err := g.Remove(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Dir(path)); err == nil {
				t.Errorf("%s is left", filepath.Dir(path))
			}
		})
	}
}

func TestUsage(t *testing.T) {
	tree := openTree(t)
	g := newGroup(t, tree, "web")
	s := run(t, g, `i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000 & echo ready; wait`)
	s.expect("ready")
	u, err := cgroup.ReadUsage(g.Path(), s.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if u.Tasks == nil || *u.Tasks != 2 {
		t.Errorf("counted %v tasks", u.Tasks)
	}
	if u.CPU == nil || *u.CPU <= 0 || *u.CPU > time.Hour {
		t.Errorf("it took %v", u.CPU)
	}
	if _, err := os.Stat(g.Path() + "/cpu.pressure"); err == nil && u.Pressure.CPU == nil {
		t.Error("the pressure was not read")
	}
	if n, err := g.OOMKills(); n != 0 || err != nil {
		t.Errorf("%d were killed for memory (%v)", n, err)
	}
	if _, err := cgroup.ReadUsage(tree.Base()+"/nothing/run", os.Getpid()); !errors.Is(err, unix.ENOENT) {
		t.Errorf("reading of no group: %v", err)
	}
}

// TestOOMKill: what the kernel kills is counted.
func TestOOMKill(t *testing.T) {
	tree := openTree(t)
	g := newGroup(t, tree, "web")
	dir := limit(t, "memory.max", "16M")
	limits(t, g, dir)
	s := run(t, g, enter+`exec tail /dev/zero`)
	if err := s.Wait(); err == nil {
		t.Error("endless memory was had")
	}
	if n, err := g.OOMKills(); n != 1 || err != nil {
		t.Errorf("%d were killed for memory (%v), want 1", n, err)
	}
}

func TestNoTree(t *testing.T) {
	dir := t.TempDir()
	_, err := cgroup.Open(cgroup.Options{Dir: dir, Root: "/service"})
	if want := dir + " is no directory of the unified cgroup hierarchy"; err == nil || err.Error() != want {
		t.Errorf("a tree on another file system: %v, want %s", err, want)
	}
}

// TestKillThousand: killing a large tree takes no longer than the kernel takes.
func TestKillThousand(t *testing.T) {
	// The budget is for a machine that has nothing else to do; this one may have.
	const budget, tries = 100 * time.Millisecond, 5
	best := harness.Patience
	for try := 0; try < tries && best > budget; try++ {
		best = min(best, killThousand(t))
	}
	t.Logf("killing 1000 processes took %v", best)
	if best > 20*budget {
		t.Errorf("killing 1000 processes takes %v", best)
	}
}

func killThousand(t *testing.T) time.Duration {
	tree := openTree(t)
	g := newGroup(t, tree, "web")
	s := run(t, g, `i=1; while [ $i -lt 1000 ]; do sleep 1000 & i=$((i+1)); done; echo ready; wait`)
	s.expect("ready")
	if pids, err := g.Pids(); err != nil || len(pids) != 1000 {
		t.Fatalf("there are %d processes (%v)", len(pids), err)
	}
	start := time.Now()
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	waitEmpty(t, tree, g)
	return time.Since(start)
}

func BenchmarkMake(b *testing.B) {
	tree := openTree(b)
	for b.Loop() {
		g := tree.Group("web", false)
		if _, err := g.Make(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		g.Remove()
		b.StartTimer()
	}
}

func BenchmarkMakeAgain(b *testing.B) {
	tree := openTree(b)
	g := newGroup(b, tree, "web")
	for b.Loop() {
		if _, err := g.Make(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNoLimits(b *testing.B) {
	tree := openTree(b)
	g := newGroup(b, tree, "web")
	dir := b.TempDir() + "/cgroup"
	for b.Loop() {
		if err := g.Limits(dir); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMakeAndRemove(b *testing.B) {
	tree := openTree(b)
	g := tree.Group("web", false)
	for b.Loop() {
		if _, err := g.Make(); err != nil {
			b.Fatal(err)
		}
		if err := g.Remove(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenAndClose(b *testing.B) {
	root := b.TempDir()
	for b.Loop() {
		tree, err := cgroup.Open(cgroup.Options{Root: root})
		if err != nil {
			harness.Skip(b, "%v", err)
		}
		tree.Close()
	}
}

// TestMemoryUsage: the memory of a service with a limit on it is known wherever it is counted.
func TestMemoryUsage(t *testing.T) {
	tree := openTree(t)
	g := newGroup(t, tree, "web")
	limits(t, g, limit(t, "memory.max", "64M"))
	s := run(t, g, enter+`echo ready; exec sleep 1000`)
	s.expect("ready")
	u, err := cgroup.ReadUsage(g.Path(), s.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if u.Memory == nil || *u.Memory == 0 || *u.Memory > 64<<20 || u.MemoryPeak != nil && *u.MemoryPeak < *u.Memory {
		t.Errorf("it uses %v, at most %v", u.Memory, u.MemoryPeak)
	}
	if u.OOMKills == nil || *u.OOMKills != 0 {
		t.Errorf("%v were killed", u.OOMKills)
	}
}
