package dialects_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// TestOrderOfNames: services that are found at once are started in ASCII order, as far as starts that run
// at the same time have one. The kernel gives out pids in ascending order, but for one time that it
// begins anew.
func TestOrderOfNames(t *testing.T) {
	t.Parallel()
	const (
		aside = 8 // places that one may be away from its own
		late  = 3 // that may be further away: on a busy machine nobody waits for a start that hangs
	)
	s := newStage(t, upkeep)
	services := map[string]*service{}
	var names []string
	for _, n := range []string{"zebra", "Zoo", "10", "9", "a", "a.b", "ab", "~", "B", "_", "ä"} {
		for _, suffix := range []string{"3", "1", "2"} {
			services[n+suffix] = s.service(n+suffix, rig.Sleeper)
			names = append(names, n+suffix)
		}
	}
	slices.Sort(names)
	s.open()
	var pids []int
	for _, n := range names {
		pids = append(pids, services[n].up(0))
	}
	sorted := slices.Sorted(slices.Values(pids))
	for turn := range sorted { // where the kernel may have begun anew
		strayed := 0
		for i, pid := range pids {
			place, _ := slices.BinarySearch(sorted, pid)
			away := (place - turn - i + 2*len(pids)) % len(pids)
			if min(away, len(pids)-away) > aside {
				strayed++
			}
		}
		if strayed <= late {
			return
		}
	}
	t.Errorf("%q have the pids %v", names, pids)
}

// TestAfter: a service is started when those that it names are up, and ready if they say when.
func TestAfter(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	svstat := harness.Bin(t, "svstat")
	note := "#!/bin/sh\n" + svstat + " ../z ../y >seen.new\nmv seen.new seen\nexec sleep 1000000\n"
	a := s.service("a", note, "after", "z\ny\n\n# a remark\n")
	b := s.service("b", note, "after", " z \n")
	z := s.service("z", server(t, "", "read x <go", "echo >&3"), "notification-fd", "3\n").gates("go")
	y := s.service("y", server(t, ""), "down", "")
	free := s.service("zz", server(t, ""))
	s.open()
	z.up(0)
	y.supervised()
	free.await("heard", "start\n")
	for _, v := range []*service{a, b} {
		v.awaitLong("waiting", "z")
		if b := v.status(); v.pid() != 0 || b[17] != 'u' || exists(v.path("seen")) {
			t.Errorf("%s was started before z is ready: % x", v.name, b)
		}
	}
	z.release("go", "")
	harness.Eventually(t, "b is started", func() bool { return exists(b.path("seen")) })
	if said := b.text("seen"); !strings.HasPrefix(said, "../z: up (pid ") {
		t.Errorf("b saw %q", said)
	}
	a.awaitLong("waiting", "y")
	if exists(a.path("seen")) {
		t.Error("a was started before y")
	}
	y.tell("u")
	harness.Eventually(t, "a is started", func() bool { return exists(a.path("seen")) })
	for line := range strings.Lines(a.text("seen")) {
		if !strings.Contains(line, ": up (pid ") {
			t.Errorf("a saw %q", line)
		}
	}
}

// TestAfterIsControllable: letters work while a service waits.
func TestAfterIsControllable(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	v := s.service("a", server(t, ""), "after", "z\n")
	z := s.service("z", server(t, ""), "down", "")
	s.open()
	z.supervised()
	v.awaitLong("waiting", "z")
	v.tell("d")
	await(t, "the wish", "d", func() string { return v.text("supervise/status")[17:18] })
	z.tell("u")
	z.await("heard", "start\n")
	z.tell("h")
	z.await("heard", "start\nHUP\n")
	if v.text("heard") != "" {
		t.Error("it was started though it is to be down")
	}
	v.tell("u")
	v.await("heard", "start\n")
}

// TestCycle: services that wait for each other are named, and started all the same.
func TestCycle(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	services := []*service{
		s.service("a", server(t, ""), "after", "b\n"),
		s.service("b", server(t, ""), "after", "c\n"),
		s.service("c", server(t, ""), "trigger", "../a/supervise/status\n"),
		s.service("own", server(t, ""), "after", "own\n"),
	}
	s.open()
	for _, v := range services {
		v.await("heard", "start\n")
	}
	s.daemon.EventuallySays("a waits for b, b for c, c for a")
	s.daemon.EventuallySays("own waits for own")
	for _, v := range services {
		v.tell("t")
		v.await("heard", "start\nTERM\nstart\n")
	}
}

// TestShutdownBackwards: who waits for another at the start ends before it. Loggers end last, with all
// that was said.
func TestShutdownBackwards(t *testing.T) {
	t.Parallel()
	patient := upkeep
	patient.scan = func(t testing.TB, root string) *exec.Cmd { return rig.Command(t, "--stop-timeout=25s", root) }
	s := newStage(t, patient)
	order := filepath.Join(filepath.Dir(s.root), "order")
	run := func(name string) string {
		return server(t, fmt.Sprintf("notes='%s' name=%s", order, name))
	}
	const lines = 2000
	// The logger is slower than what it reads from: all lines are in the pipe when that ends.
	logger := fmt.Sprintf("#!/bin/sh\ntrap '' TERM\nwhile read -r line; do echo \"$line\" >>current; done\necho log ends >>'%s'\n", order)
	// ASCII order is a b c d; the order of starts is d a c b, by after and by trigger.
	services := []*service{
		s.service("a", run("a"), "after", "d\n"),
		s.service("b", run("b"), "after", "c\n"),
		s.service("c", run("c"), "trigger", "../a/supervise/status\n"),
		s.service("d", server(t, fmt.Sprintf("notes='%s' name=d lines=%d", order, lines)),
			"log/run", logger),
	}
	s.open()
	for _, v := range services {
		v.await("heard", "start\n")
	}
	for _, v := range services {
		v.up(0)
	}
	if err := s.daemon.Process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := s.daemon.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	want := ""
	for _, name := range []string{"b", "c", "a", "d"} {
		want += name + " is asked\n" + name + " ends\n"
	}
	if got := s.text("order"); got != want+"log ends\n" {
		t.Errorf("the end was\n%swant\n%slog ends", got, want)
	}
	text, _ := os.ReadFile(services[3].path("log/current"))
	if n := strings.Count(string(text), "\n"); n != lines || !strings.HasSuffix(string(text), fmt.Sprintf("\n%d\n", lines)) {
		t.Errorf("the logger has %d lines of %d", n, lines)
	}
}

// TestShutdownOfWaiting: the end does not wait for services that have never been started, nor for one
// that does not end for those that are before it beyond the time there is.
func TestShutdownOfWaiting(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	waits := s.service("a", server(t, ""), "after", "b\n")
	b := s.service("b", server(t, ""), "trigger", "/nonexistent/pid\n")
	c := s.service("c", server(t, ""))
	s.open()
	c.await("heard", "start\n")
	waits.awaitLong("waiting")
	b.awaitLong("waiting")
	if err := s.daemon.Process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := s.daemon.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.await("heard", "start\nTERM\n")
	if waits.text("heard")+b.text("heard") != "" {
		t.Error("one that waits was started at the end")
	}
}
