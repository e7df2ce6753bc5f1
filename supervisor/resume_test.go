package supervisor

import (
	"testing"
	"time"

	"upkeep/fsstate"
)

// TestResume: where an earlier upkeep has ended in the middle of something, it goes on.
func TestResume(t *testing.T) {
	const pid = 7
	s6 := Event{Dialect: fsstate.S6, Finish: true, TimeoutFinish: time.Second, Since: time.Hour}
	plain := Event{Since: time.Hour}
	for _, c := range []struct {
		info  fsstate.Info
		alive bool
		event Event
		want  string // as a cell of a service that was gone
	}{
		{fsstate.Info{Phase: "up", Pid: pid}, true, plain, "up rec"},
		{fsstate.Info{Phase: "up", Pid: pid}, false, plain, "starting start"},
		{fsstate.Info{Phase: "up", Pid: pid}, false, s6, "finishing finish"},
		{fsstate.Info{Phase: "ready", Pid: pid}, true, s6, "ready rec"},
		{fsstate.Info{Phase: "ready", Pid: pid}, false, plain, "starting start"},
		{fsstate.Info{Phase: "ready", Pid: pid}, false, s6, "finishing finish"},
		{fsstate.Info{Phase: "stopping", Pid: pid}, false, s6, "finishing finish"},
		{fsstate.Info{Phase: "starting"}, true, s6, "up rec"},
		{fsstate.Info{Phase: "starting"}, false, s6, "waiting rec pause"},
		{fsstate.Info{Phase: "finishing"}, false, s6, "finishing finish"},
		{fsstate.Info{Phase: "finishing"}, false, plain, "starting start"}, // there is no finish any more
		{fsstate.Info{Phase: "finishing", Pid: pid}, true, s6, "finishing rec deadline"},
		{fsstate.Info{Phase: "finishing", Pid: pid}, false, s6, "waiting rec pause"},
		{fsstate.Info{Phase: "finishing", Pid: pid, Leave: true}, false, s6, "rec release"},
		{fsstate.Info{Phase: "waiting"}, false, s6, "waiting rec pause"},
		{fsstate.Info{Phase: "started", Want: new(fsstate.WantOnce)}, false, plain, "started once rec"},
		{fsstate.Info{Phase: "failed", Want: new(fsstate.WantDown)}, false, s6, "failed down rec"},
		{fsstate.Info{Phase: "failed", Want: new(fsstate.WantDown), Leave: true}, false, s6, "down rec release"},
	} {
		s, actions := Resume(c.info, c.alive, c.event)
		if got := cell(State{Phase: Gone, Want: fsstate.WantUp}, s, actions); got != c.want {
			t.Errorf("%s, pid %d, alive %v: %q, want %q", c.info.Phase, c.info.Pid, c.alive, got, c.want)
		}
	}
}
