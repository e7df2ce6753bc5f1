package supervisor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/logpipe"
	"upkeep/tai64"
)

// daemontools' bytes and the two that follow.
func describe(b []byte) string {
	if len(b) < 18 {
		return fmt.Sprintf("%q", b)
	}
	pid := "pid"
	if binary.LittleEndian.Uint32(b[12:]) == 0 {
		pid = "none"
	}
	return fmt.Sprintf("%s paused=%d want=%q %v", pid, b[16], b[17], b[18:])
}

// TestAllItsLife follows the files through everything that can happen to a service, in each format.
func TestAllItsLife(t *testing.T) {
	for format, bytes := range map[fsstate.Format]func(runit, encore string) string{
		fsstate.FormatRunit:       func(runit, _ string) string { return runit },
		fsstate.FormatEncore:      func(_, encore string) string { return encore },
		fsstate.FormatDaemontools: func(_, _ string) string { return "[]" },
	} {
		t.Run(format.String(), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.host.Format = format
			g := h.guest("web", "", "down", "stubborn")
			var since, last tai64.Label
			expect := func(what, status, runit, encore string) {
				t.Helper()
				b := g.status()
				if got, want := describe(b), status+" "+bytes(runit, encore); got != want {
					t.Errorf("%s: status is %s, want %s", what, got, want)
				}
				last = since
				since, _ = tai64.Unpack(b[:12])
				pid := int(binary.LittleEndian.Uint32(b[12:]))
				info := g.info()
				if info.Format != format || info.Pid != pid || info.Want == nil || byte(*info.Want) != b[17] {
					t.Errorf("%s: resume is %+v beside %s", what, info, describe(b))
				}
				h.do(func() {
					if g.s.pid != pid || info.Phase != g.s.state.Phase.String() {
						t.Errorf("%s: it is %v with pid %d, the files say %v, %d", what, g.s.state, g.s.pid, info.Phase, pid)
					}
				})
			}
			same := func(what string, want bool) {
				t.Helper()
				if (since == last) != want {
					t.Errorf("%s: since %v, before that %v", what, since, last)
				}
			}

			g.begin()
			h.until("it is taken", func() bool { return g.taken })
			expect("taken", "none paused=0 want='d'", "[0 0]", "[0 0]")

			g.svc("u")
			g.says("start")
			g.until(Up)
			expect("u", "pid paused=0 want='u'", "[0 1]", "[3 0]")
			same("u", false)
			if i := g.info(); *i.Starts != 1 {
				t.Errorf("u: %d starts", *i.Starts)
			}

			g.svc("p")
			h.until("it is paused", func() bool { return g.s.state.Paused })
			expect("p", "pid paused=1 want='u'", "[0 1]", "[3 0]")
			same("p", true)

			g.svc("c")
			g.says("CONT")
			expect("c", "pid paused=0 want='u'", "[0 1]", "[3 0]")

			for letter, name := range map[string]string{"h": "HUP", "a": "ALRM", "i": "INT", "q": "QUIT", "1": "USR1", "2": "USR2", "w": "WINCH"} {
				g.svc(letter)
				g.says(name)
			}

			g.svc("t")
			g.says("TERM")
			expect("t", "pid paused=0 want='u'", "[1 1]", "[3 0]")

			g.svc("d")
			h.until("it is stopping", func() bool { return g.s.state.Phase == Stopping })
			if got, want := g.read(2), []string{"CONT", "TERM"}; !slices.Equal(got, want) {
				t.Errorf("d: it got %q, want %q", got, want)
			}
			expect("d", "pid paused=0 want='d'", "[1 1]", "[4 0]")
			same("d", true)

			g.svc("k")
			g.until(Down)
			expect("k", "none paused=0 want='d'", "[0 0]", "[0 0]")
			same("k", false)
			if i := g.info(); i.Signal == nil || *i.Signal != 9 || i.Code != nil || i.Ended == nil || *i.Ended != since {
				t.Errorf("k: resume is %+v", i)
			}

			if err := os.Remove(g.file("stubborn")); err != nil {
				t.Fatal(err)
			}
			g.svc("o")
			g.says("start")
			g.until(Up)
			expect("o", "pid paused=0 want='\\x00'", "[0 1]", "[3 0]")
			g.svc("t")
			g.says("TERM")
			g.until(Down)
			expect("the end of o", "none paused=0 want='\\x00'", "[0 0]", "[0 0]")
			if i := g.info(); i.Code == nil || *i.Code != 7 || i.Signal != nil || *i.Starts != 2 {
				t.Errorf("the end of o: resume is %+v", i)
			}

			g.svc("u")
			g.says("start")
			g.until(Up)
			g.svc("x")
			h.until("x is heard", func() bool { return g.s.state.Leave })
			expect("x", "pid paused=0 want='u'", "[0 1]", "[3 0]")
			if h.do(func() { g.s.Changed() }); g.take() == nil {
				t.Error("x: the directory is free while the service runs")
			}
			g.svc("t")
			g.says("TERM")
			h.until("it is released", func() bool { return g.released })
			expect("the end of x", "none paused=0 want='u'", "[0 0]", "[0 0]")
			if err := g.free(); err != nil {
				t.Errorf("after the end: %v", err)
			}
			if err := g.unheard(); err != unix.ENXIO {
				t.Errorf("after the end: ok can be opened: %v", err)
			}
			want := []string{"SIGKILL, essential false, wanted true", "exit 7, essential false, wanted false", "exit 7, essential false, wanted true"}
			h.do(func() {
				if !slices.Equal(g.died, want) {
					t.Errorf("its deaths were %q", g.died)
				}
			})
			if said := h.heard(); said != nil {
				t.Errorf("said %q", said)
			}
		})
	}
}

// read reads n lines and sorts them: several signals may come in any order.
func (g *guest) read(n int) []string {
	var lines []string
	for range n {
		line, _ := g.out.ReadString('\n')
		lines = append(lines, strings.TrimSpace(line))
	}
	slices.Sort(lines)
	return lines
}

const sleeper = "#!/bin/sh\necho start\nexec sleep 1000\n"

// TestLettersWhileStarting: they are kept, and each finds what the ones before it have left.
func TestLettersWhileStarting(t *testing.T) {
	for _, test := range []struct {
		batches string // separated by spaces
		until   func(State) bool
		want    byte
		starts  int  // or 0, where that depends on how long it takes to look
		stopped bool // by a signal
	}{
		{"d", func(s State) bool { return s.Phase == Down }, 'd', 1, false},
		{"o", func(s State) bool { return s.Phase == Up && s.Want == fsstate.WantOnce }, 0, 1, false},
		{"o d", func(s State) bool { return s.Phase == Down && s.Want == fsstate.WantDown }, 'd', 1, false},
		{"do", func(s State) bool { return s.Phase == Down && s.Want == fsstate.WantOnce }, 0, 1, false},
		{"cp", func(s State) bool { return s.Paused }, 'u', 1, true},
		{"p c d o", func(s State) bool { return s.Phase == Down && s.Want == fsstate.WantOnce }, 0, 1, false},
		{"d u", func(s State) bool { return s.Phase == Waiting || s.Phase == Up }, 'u', 0, false},
		{"xk", func(s State) bool { return s.Phase == Gone }, 'u', 1, false},
	} {
		t.Run(test.batches, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			g := h.guest("web", sleeper, "down")
			g.begin()
			h.until("it is taken", func() bool { return g.taken })
			release := g.block()
			defer release()
			g.svc("u")
			g.until(Starting)
			for i, batch := range strings.Fields(test.batches) {
				g.svc(batch)
				n := len(strings.Join(strings.Fields(test.batches)[:i+1], ""))
				h.until("letters are kept", func() bool { return len(g.s.deferred) == n })
			}
			h.do(func() {
				if g.s.state.Phase != Starting || g.s.state.Want != fsstate.WantUp {
					t.Errorf("while starting: %+v", g.s.state)
				}
			})
			release()
			h.until("the letters are obeyed", func() bool { return test.until(g.s.state) })
			b := g.status()
			if b[17] != test.want {
				t.Errorf("status is %s, want %q", describe(b), test.want)
			}
			if i := g.info(); test.starts != 0 && *i.Starts != test.starts {
				t.Errorf("%d starts, want %d", *i.Starts, test.starts)
			}
			if test.stopped {
				pid := int(binary.LittleEndian.Uint32(b[12:]))
				for end := time.Now().Add(patience); processState(pid) != "T"; time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("it is in state %s", processState(pid))
					}
				}
			}
		})
	}
}

// processState is the letter of /proc/PID/stat.
func processState(pid int) string {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	return after[:min(1, len(after))]
}

func TestStopBeforeItIsTaken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", sleeper)
	release := g.block()
	g.begin()
	h.do(g.s.Stop)
	h.do(g.s.Stop)
	release()
	h.until("it is released", func() bool { return g.released })
	h.do(func() {
		if !g.taken || g.died != nil || g.s.starts != 0 {
			t.Errorf("taken %v, deaths %q, starts %d", g.taken, g.died, g.s.starts)
		}
	})
	if got := describe(g.status()); got != "none paused=0 want='d' [0 0]" {
		t.Errorf("status is %s", got)
	}
	if err := g.free(); err != nil {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", sleeper)
	d, err := fsstate.Take(g.dir, "", []byte("another's"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	g.begin()
	h.until("it is refused", func() bool { return g.refused != nil })
	h.do(func() {
		if !errors.Is(g.refused, fsstate.ErrLocked) || g.taken {
			t.Errorf("%v, taken %v", g.refused, g.taken)
		}
	})
	if b, _ := os.ReadFile(g.super("status")); string(b) != "another's" {
		t.Errorf("the other's status is now %q", b)
	}
	h.do(g.s.Stop) // has nothing to stop
}

// TestUnrecorded: a service runs without its files, and says so once; Retry makes them.
func TestUnrecorded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", sleeper)
	if err := os.MkdirAll(g.super("status.new"), 0o700); err != nil {
		t.Fatal(err)
	}
	g.begin()
	g.says("start")
	g.until(Up)
	g.svc("pc") // more to record
	h.until("letters are heard", func() bool { return !g.s.state.Paused })
	g.written()
	h.do(g.s.Retry)
	g.written()
	h.do(func() {})
	want := []string{"web: cannot write " + g.super("status") + ": is a directory; its state is not recorded until that works"}
	if said := h.heard(); !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	if err := os.Remove(g.super("status.new")); err != nil {
		t.Fatal(err)
	}
	h.do(g.s.Retry)
	h.until("it is recorded", func() bool { return len(h.said) > 0 })
	if got, want := describe(g.status()), "pid paused=0 want='u' [0 1]"; got != want {
		t.Errorf("status is %s, want %s", got, want)
	}
	if i := g.info(); i.Phase != "up" {
		t.Errorf("resume is %+v", i)
	}
	if said, want := h.heard(), []string{"web: its state is recorded again"}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	before, _ := os.Stat(g.super("status"))
	h.do(g.s.Retry) // nothing is to be recorded again
	g.written()
	h.do(func() {})
	g.written()
	if after, _ := os.Stat(g.super("status")); !os.SameFile(before, after) {
		t.Error("the status was written without need")
	}
}

// TestFailureToStart is reported once per cause, and anew after a success.
func TestFailureToStart(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", sleeper)
	os.Remove(g.file("run"))
	h.do(func() { // however long it takes to look, it has just been taken up
		g.s.events.Taken = func() { g.taken = true; g.s.takenUp = g.s.takenUp.Add(time.Hour) }
	})
	g.begin()
	g.until(Waiting)
	if said := h.heard(); said != nil {
		t.Errorf("of a directory that is not complete yet: %q", said)
	}
	if i := g.info(); i.Cause != "cannot start ./run: no such file or directory" || *i.Starts != 0 {
		t.Errorf("resume is %+v", i)
	}
	h.do(func() { g.s.takenUp = time.Time{} })

	attempt := func() { // one more, and its end
		t.Helper()
		done := false
		h.do(func() { g.s.Changed(); done = g.s.state.Phase == Starting })
		if !done {
			t.Error("a change is no reason to try again")
		}
		h.until("it was tried", func() bool { return g.s.state.Phase != Starting && g.s.state.Phase != Up })
	}
	for _, step := range []struct {
		make func()
		err  string
		hint string
	}{
		{func() {}, "no such file or directory", ""},
		{func() { os.Mkdir(g.file("run"), 0o755) }, "permission denied", " (it is a directory)"},
		{func() { os.Remove(g.file("run")); g.write("run", sleeper, 0o644) }, "permission denied", " (it is not executable)"},
		{func() { g.write("run", "#!/nonexistent/sh -e\n", 0o755) }, "no such file or directory", " (there is no /nonexistent/sh, which its first line names)"},
		{func() { g.write("run", "exit 0\n", 0o755) }, "exec format error", " (its first line does not begin with #!)"},
		// By way of the trampoline, as its interpreter is not on a file system that is known to be local.
		{func() { g.write("run", "#!/proc/version\n", 0o755) }, "permission denied", ""},
		{func() { g.write("run", "#!/proc/nothing\n", 0o755) }, "no such file or directory", " (there is no /proc/nothing, which its first line names)"},
	} {
		step.make()
		attempt()
		want := []string{"unable to start web/run: " + step.err, "web: cannot start ./run: " + step.err + step.hint + "; trying again in 1s"}
		if said := h.heard(); !slices.Equal(said, want) {
			t.Errorf("said\n%q, want\n%q", said, want)
		}
		attempt()
		if said := h.heard(); said != nil {
			t.Errorf("said again: %q", said)
		}
		if got := describe(g.status()); got != "none paused=0 want='u' [0 0]" {
			t.Errorf("status is %s", got)
		}
	}

	g.write("run", sleeper, 0o755)
	h.do(g.s.Changed)
	g.says("start")
	g.until(Up)
	if i := g.info(); i.Cause != "" || *i.Starts != 1 {
		t.Errorf("resume is %+v", i)
	}
	g.write("run", "#!/proc/nothing\n", 0o755)
	g.svc("k")
	h.until("it has failed again", func() bool { return g.s.state.Broken })
	if said := h.heard(); len(said) != 2 {
		t.Errorf("after a success the same cause is worth a report: %q", said)
	}
	g.svc("o") // to be tried once, and not for ever
	h.until("that was tried", func() bool { return g.s.state.Want == fsstate.WantOnce && g.s.state.Phase == Down })
}

func TestBadValues(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", sleeper, "backoff=soon", "down")
	g.begin()
	h.until("it is taken", func() bool { return g.taken })
	want := []string{`web: backoff holds "soon", which is not a number from 0 to 4294967295; the pause stays at one second`}
	if said := h.heard(); !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	g.svc("u") // reads it again
	g.says("start")
	g.until(Up)
	if said := h.heard(); said != nil {
		t.Errorf("said again: %q", said)
	}
}

// TestOneStartASecond: a service that dies at once is started once a second, and hears letters meanwhile.
func TestOneStartASecond(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\necho start\nexit 3\n")
	g.begin()
	g.says("start")
	g.until(Waiting)
	var first, second time.Time
	starts := 0
	h.do(func() { first, starts = g.s.started, g.s.starts })
	if i := g.info(); !strings.HasPrefix(i.Cause, "lived too short") || *i.Code != 3 {
		t.Errorf("resume is %+v", i)
	}
	g.says("start")
	h.until("it has died again", func() bool { return g.s.starts > starts && g.s.state.Phase == Waiting })
	if h.do(func() { second = g.s.started }); second.Sub(first) < time.Second {
		t.Errorf("started again after %v", second.Sub(first))
	}
	g.svc("d")
	g.until(Down)
	g.svc("u") // a letter does not wait
	g.says("start")
}

func TestTimeoutKill(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "", "timeout-kill=50", "stubborn", "essential")
	g.begin()
	g.says("start")
	g.until(Up)
	g.svc("d")
	g.until(Down)
	h.do(func() {
		if want := []string{"SIGKILL, essential true, wanted true"}; !slices.Equal(g.died, want) {
			t.Errorf("its deaths were %q, want %q", g.died, want)
		}
	})
}

func TestLoggerLetters(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	web, log := h.guest("web", ""), h.guest("log", "")
	h.do(func() { web.s.SetLog(log.s) })
	for _, g := range []*guest{web, log} {
		g.begin()
		g.says("start")
		g.until(Up)
	}
	web.svc("hL1l2Lw")
	for g, want := range map[*guest][]string{web: {"HUP", "USR2"}, log: {"USR1", "WINCH"}} {
		if got := g.read(2); !slices.Equal(got, want) {
			t.Errorf("%s got %q, want %q", g.s.Name, got, want)
		}
	}
	web.svc("aLl") // who is meant begins anew with each batch
	web.says("ALRM")
	web.svc("L") // nothing follows
	web.svc("Ld")
	log.until(Down)
	web.svc("i")
	web.says("INT")
	h.do(func() { web.s.SetLog(nil) })
	web.svc("Lhl1") // to nobody
	web.says("USR1")
}

func TestGroupLetters(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\n./tell &\nexec ./tell\n", "stubborn")
	self, _ := os.Executable()
	if err := os.Symlink(self, g.file("tell")); err != nil {
		t.Fatal(err)
	}
	g.begin()
	g.says("start", "start")
	g.until(Up)
	g.svc("h")
	g.says("HUP")
	g.svc("+1")
	g.says("USR1", "USR1")
	g.svc("+w=i")
	if got, want := g.read(3), []string{"INT", "WINCH", "WINCH"}; !slices.Equal(got, want) {
		t.Errorf("+w=i: the two got %q, want %q", got, want)
	}
	g.svc("a") // a + is forgotten with its batch
	g.says("ALRM")
	g.svc("+d")
	if got, want := g.read(4), []string{"CONT", "CONT", "TERM", "TERM"}; !slices.Equal(got, want) {
		t.Errorf("+d: the two got %q, want %q", got, want)
	}
	g.svc("+k")
	g.until(Down)
}

// TestDrain: a logger reads what is left, and then ends by itself.
func TestDrain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("log", "#!/bin/sh\nexec cat\n")
	p, err := logpipe.Open(filepath.Join(t.TempDir(), "logpipe"))
	if err != nil {
		t.Fatal(err)
	}
	h.do(func() { g.s.Pipe, g.s.Logger = p, true })
	g.begin()
	g.until(Up)
	w, err := p.Writer()
	if err != nil {
		t.Fatal(err)
	}
	g.svc("p") // even then
	h.until("it is paused", func() bool { return g.s.state.Paused })
	unix.Write(w, []byte("line\nlast line\n"))
	unix.Close(w)
	h.do(g.s.Drain)
	g.says("line", "last line")
	h.until("it is released", func() bool { return g.released })
}

// TestNothingIsLeftOpen is alone, as it counts the descriptors of the process.
func TestNothingIsLeftOpen(t *testing.T) {
	h := newHouse(t)
	life := func() {
		g := h.guest("web", sleeper)
		g.begin()
		g.says("start")
		g.until(Up)
		h.do(g.s.Stop)
		h.until("it is released", func() bool { return g.released })
	}
	life()
	before := descriptors()
	for range 5 {
		life()
	}
	// Each has a pipe for its output until the end of the test.
	if after := descriptors(); after != before+5*2 {
		t.Errorf("%d descriptors before, %d after", before, after-5*2)
	}
}

func descriptors() (n int) {
	for fd := range 1024 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}
