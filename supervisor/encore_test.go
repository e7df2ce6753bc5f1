package supervisor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"upkeep/fsstate"
	"upkeep/reaper"
)

// TestEncoreMachine: what start and stop of daemontools-encore change.
func TestEncoreMachine(t *testing.T) {
	up, down, once := fsstate.WantUp, fsstate.WantDown, fsstate.WantOnce
	starting := State{Phase: Starting, Want: up, Prelude: true}
	died := Event{Kind: Exited, Since: time.Minute}
	failed := Event{Kind: Exited, Since: time.Minute, Failed: true}
	letter := func(l byte) Event { return Event{Kind: Letter, Letter: l} }
	for _, c := range []struct {
		name  string
		state State
		event Event
		want  string
	}{
		{"start runs", State{Phase: Starting, Want: up}, Event{Kind: Started, Prelude: true}, "rec"},
		{"letters are heard meanwhile", starting, letter('h'), "HUP"},
		{"u", starting, letter('u'), "rec"},
		{"o", starting, letter('o'), "once rec"},
		{"d", starting, letter('d'), "stopping down TERM CONT rec"},
		{"x", starting, letter('x'), "rec"},
		{"start is no readiness", starting, Event{Kind: Readied}, "-"},
		{"start ends", starting, died, "rec start"},
		{"start fails", starting, failed, "failed down rec"},
		{"start ends, leaving", State{Phase: Starting, Want: up, Prelude: true, Leave: true}, died, "gone rec release"},
		{"start ends after d all the same", State{Phase: Stopping, Want: down, Prelude: true}, died, "starting rec start"},
		{"start is killed after d", State{Phase: Stopping, Want: down, Prelude: true}, failed, "failed rec"},
		{"run ends", State{Phase: Up, Want: up}, died, "starting start"},
		{"run ends after o", State{Phase: Up, Want: once}, died, "finishing finish"},
		{"run ends after d", State{Phase: Stopping, Want: down}, died, "finishing finish"},
		{"run fails", State{Phase: Up, Want: up}, failed, "failed down rec"},
		{"run fails after d", State{Phase: Stopping, Want: down}, failed, "failed rec"},
		{"run ends after x", State{Phase: Up, Want: up, Leave: true}, died, "gone rec release"},
		{"stop ends", State{Phase: Finishing, Want: down, Stopped: true}, died, "down rec"},
		{"stop ends after u", State{Phase: Finishing, Want: up, Stopped: true}, died, "starting start"},
		{"stop fails", State{Phase: Finishing, Want: down, Stopped: true}, failed, "failed rec"},
		{"signals go to stop", State{Phase: Finishing, Want: down, Stopped: true}, letter('k'), "KILL"},
		{"d before it was ever started", State{Phase: Down, Want: down}, letter('d'), "finishing rec finish"},
		{"d again", State{Phase: Down, Want: down, Stopped: true}, letter('d'), "rec"},
		{"d while it waits", State{Phase: Waiting, Want: up}, letter('d'), "finishing down rec finish"},
		{"there is no run", State{Phase: Starting, Want: up, Prepared: true}, Event{Kind: AllDone}, "started once rec"},
		{"there is no run after d", State{Phase: Starting, Want: down, Prepared: true}, Event{Kind: AllDone}, "finishing finish"},
		{"u without a run", State{Phase: Done, Want: once}, letter('u'), "rec"},
		{"o without a run", State{Phase: Done, Want: once}, letter('o'), "rec"},
		{"d without a run", State{Phase: Done, Want: once}, letter('d'), "finishing down rec finish"},
		{"x without a run", State{Phase: Done, Want: once}, letter('x'), "gone rec release"},
		{"p without a run", State{Phase: Done, Want: once}, letter('p'), "rec"},
		{"k without a run", State{Phase: Done, Want: once}, letter('k'), "-"},
		{"d after a failure", State{Phase: Failed, Want: down, Stopped: true}, letter('d'), "down rec"},
	} {
		c.event.Dialect, c.event.Stop = fsstate.Encore, true
		after, actions := Next(c.state, c.event)
		if got := cell(c.state, after, actions); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for _, tree := range []bool{false, true} {
		want := map[bool]string{false: "down down rec", true: "down down rec clear"}[tree]
		s := State{Phase: Done, Want: once}
		after, actions := Next(s, Event{Kind: Letter, Letter: 'd', Tree: tree})
		if got := cell(s, after, actions); got != want {
			t.Errorf("d with neither run nor stop: %q, want %q", got, want)
		}
	}
	s := State{Phase: Down, Want: down, Prepared: true}
	if s, _ := Next(s, letter('u')); s.Prepared {
		t.Error("start does not run for a u after d")
	}
	if s, _ := Next(s, letter('o')); !s.Prepared {
		t.Error("start runs for an o though run has run")
	}
}

// TestEncore follows the programs of daemontools-encore through a life.
func TestEncore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.host.Format = fsstate.FormatEncore
	g := h.guest("web", "#!/bin/sh\necho run\nread line < go\n")
	g.write("start", "#!/bin/sh\necho start\nread line < begin\n", 0o755)
	g.write("stop", "#!/bin/sh\necho stop\nread line < end\n", 0o755)
	told := filepath.Join(t.TempDir(), "told")
	g.write("notify", "#!/bin/sh\necho $1 $2 $4 >> "+told+"\n", 0o755)
	for _, f := range []string{"begin", "go", "end"} {
		g.fifo(f)
	}
	is := func(what string, pid bool, state fsstate.EncoreState) {
		t.Helper()
		if s, err := fsstate.ParseStatus(g.status()); err != nil || s.State != state || (s.Pid != 0) != pid {
			t.Errorf("%s: the status is %+v, %v", what, s, err)
		}
	}
	g.begin()
	g.says("start")
	h.until("start runs", func() bool { return g.s.state.Prelude })
	is("start", true, fsstate.EncoreStarting)
	g.feed("begin")
	g.says("run")
	g.until(Up)
	is("run", true, fsstate.EncoreRunning)
	g.svc("d")
	g.says("stop")
	h.until("stop runs", func() bool { return g.s.state.Phase == Finishing && g.s.pid != 0 })
	is("stop", true, fsstate.EncoreStopped)
	g.feed("end")
	g.until(Down)
	is("down", false, fsstate.EncoreStopped)
	g.svc("u")
	g.says("start")
	h.until("start runs", func() bool { return g.s.state.Prelude })
	g.svc("k")
	g.until(Failed)
	is("failed", false, fsstate.EncoreFailed)
	want := []string{"run killed 15", "run start 0", "start exit 0", "start killed 9", "start start 0", "start start 0", "stop exit 0", "stop start 0"}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		text, _ := os.ReadFile(told)
		got := slices.Sorted(slices.Values(strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })))
		if slices.Equal(got, want) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("notify was told %q, want %q", got, want)
		}
	}
}

// TestEncoreSurvivesUpkeep: another Supervisor knows start from run.
func TestEncoreSurvivesUpkeep(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.host.World, h.host.Census = "here", new(reaper.Census)
	g := h.guest("web", "#!/bin/sh\necho run\nread line < go\n")
	g.write("start", "#!/bin/sh\necho start\nread line < begin\n", 0o755)
	g.fifo("begin")
	g.fifo("go")
	g.begin()
	g.says("start")
	h.until("start runs", func() bool { return g.s.state.Prelude })
	g.written()
	again := h.crash(g)
	h.until("it is taken over", func() bool { return again.s.state.Prelude && again.s.pid != 0 })
	g.feed("begin")
	g.says("run")
	again.until(Up)
	third := h.crash(again)
	third.until(Up)
	third.svc("d")
	third.until(Down)
}

// TestEncoreOneshot: a service without run is up when start has ended, until d, and for another Supervisor, too.
func TestEncoreOneshot(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.host.World, h.host.Census, h.host.Format = "here", new(reaper.Census), fsstate.FormatEncore
	g := h.guest("net", "#!/bin/sh\n")
	os.Remove(g.file("run"))
	g.write("start", "#!/bin/sh\necho start\n", 0o755)
	g.write("stop", "#!/bin/sh\necho stop\n", 0o755)
	is := func(g *guest, phase Phase, state fsstate.EncoreState, want fsstate.Want) {
		t.Helper()
		g.until(phase)
		if s, err := fsstate.ParseStatus(g.status()); err != nil || s.State != state || s.Pid != 0 || s.Want != want {
			t.Errorf("the status is %+v, %v", s, err)
		}
	}
	g.begin()
	g.says("start")
	is(g, Done, fsstate.EncoreStarted, fsstate.WantOnce)
	if i := g.info(); i.Phase != "started" || i.Cause != "" {
		t.Errorf("resume is %+v", i)
	}
	again := h.crash(g)
	is(again, Done, fsstate.EncoreStarted, fsstate.WantOnce)
	again.svc("u")
	again.svc("d")
	again.says("stop") // and not start
	is(again, Down, fsstate.EncoreStopped, fsstate.WantDown)
	again.svc("u")
	again.says("start")
	is(again, Done, fsstate.EncoreStarted, fsstate.WantOnce)
	again.svc("d")
	again.says("stop")
	again.until(Down)
	again.write("run", "#!/bin/sh\necho run\nread line < go\n", 0o755)
	again.fifo("go")
	again.svc("u")
	again.says("start", "run")
	again.until(Up)
	if said := h.heard(); said != nil {
		t.Errorf("it was said %q", said)
	}
}

// TestNotifyIsNotTheService: whoever looks for the service after a crash takes the leader of a session for it.
func TestNotifyIsNotTheService(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\nread l < go\n")
	g.fifo("go")
	g.write("notify", "#!/bin/sh\nread pid name state parent group session rest </proc/$$/stat\n[ $session != $pid ] && echo member || echo leader\n", 0o755)
	g.begin()
	g.says("member")
}
