package supervisor

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"upkeep/fsstate"
	"upkeep/reaper"
)

// Changed says that something in the service directory may have changed.
func (s *Supervisor) Changed() { s.event(Event{Kind: Changed}) }

// LimitsChanged says that something in the service directory's cgroup directory may have changed.
func (s *Supervisor) LimitsChanged() {
	switch {
	case s.Group == nil:
	case s.pid != 0:
		s.tree((*record).limit)
	case s.state.Phase == Starting: // which may have read them before
		s.unlimited = true
	}
	s.Changed()
}

// Retry records what could not be recorded before.
func (s *Supervisor) Retry() {
	if !s.begun || s.state.Phase == Gone {
		return
	}
	s.lane.Do(func() {
		if s.record.failed != "" {
			s.postLater(func() {
				if s.state.Phase != Gone { // by now
					s.writeStatus(true)
				}
			})
		}
	})
}

// event runs the machine.
func (s *Supervisor) event(e Event) {
	if !s.begun { // there is neither a directory nor a state yet
		if e.Kind == Letter {
			s.deferred = append(s.deferred, e)
		}
		return
	}
	if e.Kind != Exited {
		e.Since = time.Since(s.started)
	}
	e = s.told(e)
	was := s.state
	var actions []Action
	s.state, actions = Next(s.state, e)
	if len(actions) > 0 && actions[0].Kind == Defer {
		passed := e.Kind == Letter && e.Letter == 'k' && s.killScripts()
		switch {
		case passed && !s.state.Script: // only control/u was there to be killed
		case e.Kind == Scripted: // it is before the letters that have waited for it
			s.deferred = slices.Insert(s.deferred, 0, e)
		default:
			s.deferred = append(s.deferred, e)
		}
		if wish := wished(s.wish, e); wish != s.wish {
			s.wish = wish
			s.queueStatus(true, s.lane.DoRecord)
		}
		return
	}
	s.do(actions, e.Kind)
	if was.Phase != s.state.Phase {
		if was.Held && s.state.Phase != Starting {
			s.held = ""
		}
		s.moved()
	}
	if was.busy() && !s.state.busy() {
		s.replay()
	}
}

func (s *Supervisor) moved() {
	if s.events.Moved != nil && s.state.Phase != Gone {
		s.events.Moved()
	}
}

// told adds to an event what the machine has to know of the service.
func (s *Supervisor) told(e Event) Event {
	d := &s.def
	e.Tree, e.Dialect, e.Finish, e.Stop, e.Backoff = s.Group != nil, d.Dialect, d.Finish, d.Stop, d.Backoff
	e.TimeoutKill, e.TimeoutFinish, e.KillGroup = d.TimeoutKill, d.TimeoutFinish, d.KillGroup
	e.DownSignal, e.ReloadSignal, e.Scripts = d.DownSignal, d.ReloadSignal, s.scripts()
	if s.state.Ready {
		e.Ready = time.Since(s.ready)
	}
	return e
}

// wished is what was wished for, the last of d, u and o and then x, after another event that is deferred.
func wished(before string, e Event) string {
	want, leave := strings.CutSuffix(before, "x")
	switch {
	case e.Kind != Letter:
	case e.Letter == 'x':
		leave = true
	case strings.IndexByte("duo", e.Letter) >= 0:
		want = string(e.Letter)
	}
	if leave {
		return want + "x"
	}
	return want
}

// replay handles what was deferred, as far as it goes.
func (s *Supervisor) replay() {
	waiting := s.deferred
	s.deferred, s.wish = nil, ""
	for _, e := range waiting {
		s.event(e)
	}
}

// do does what the machine asks for because of an event.
func (s *Supervisor) do(actions []Action, because EventKind) {
	if slices.ContainsFunc(actions, func(a Action) bool { return a.Kind == Start || a.Kind == Finish }) {
		s.due, s.preceded = reaper.Tick(), false
	}
	for i, a := range actions {
		switch a.Kind {
		case Record:
			startFollows := i+1 < len(actions) && actions[i+1].Kind == Start
			switch {
			case startFollows && because != Letter: // it records the rest
				s.writeStatus(false)
			case because == Started && s.state.Want != fsstate.WantOnce: // a successor would find that out
				s.writeStatus(true)
			default:
				s.queueStatus(true, s.lane.DoRecord)
			}
		case Start:
			s.start()
		case Finish:
			s.finish()
		case Script:
			s.runScripts(a)
		case Signal:
			s.host.Reaper.Signal(s.pid, a.Sig, a.Group)
		case Pause:
			s.setPause(a)
		case Deadline:
			s.setDeadline(a.For)
		case Freeze:
			s.tree((*record).freeze)
		case Thaw:
			s.tree((*record).thaw)
		case Clear:
			s.clearTree()
		case KillTree:
			s.tree((*record).killTree)
		case Release:
			s.release()
		}
	}
}

func stop(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}

func (s *Supervisor) setPause(a Action) {
	if a.Jitter {
		a.For += time.Duration((rand.Float64() - 0.5) / 5 * float64(a.For))
	}
	stop(s.pause)
	var mine *time.Timer
	mine = s.after(a.For, func() {
		if s.pause == mine {
			s.pause = nil
			s.event(Event{Kind: PauseOver})
		}
	})
	s.pause = mine
}

func (s *Supervisor) setDeadline(after time.Duration) {
	stop(s.deadline)
	var mine *time.Timer
	mine = s.after(after, func() {
		if s.deadline == mine {
			s.event(Event{Kind: Overdue})
		}
	})
	s.deadline = mine
}
