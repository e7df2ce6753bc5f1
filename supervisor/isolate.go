package supervisor

import (
	"runtime/debug"
	"time"

	"upkeep/fsstate"
)

// What a Supervisor does on the Host's goroutine and on its lane is kept apart from all others: if it panics,
// that one is given up, and another one takes the directory up as after a crash.

func (s *Supervisor) post(f func())      { s.host.Post(func() { defer s.isolate(); f() }) }
func (s *Supervisor) postLater(f func()) { s.host.PostLater(func() { defer s.isolate(); f() }) }

func (s *Supervisor) after(d time.Duration, f func()) *time.Timer {
	return s.host.After(d, func() { defer s.isolate(); f() })
}

// isolate is deferred around everything that belongs to this Supervisor alone.
func (s *Supervisor) isolate() {
	if s.host.Panicked == nil {
		return
	}
	if p := recover(); p != nil {
		s.breaks(p, debug.Stack())
	}
}

// breaks gives this Supervisor up. Nothing is believed of it but its descriptors and its pid.
func (s *Supervisor) breaks(p any, stack []byte) {
	s.host.Panicked(s.Name, p, stack)
	if s.state.Phase == Gone {
		return
	}
	s.state.Phase = Gone
	stop(s.pause)
	stop(s.deadline)
	if s.control >= 0 {
		s.host.Controls.Remove(s.control)
		s.control = -1
	}
	s.forgetNotice()
	if s.pid != 0 {
		s.host.Reaper.Disown(s.pid)
	}
	s.lane.Do(func() {
		s.unwatch()
		s.record.closeSocket(s.host)
		if s.record.dir != nil {
			s.record.dir.Close()
		}
		s.host.PostLater(s.events.Broken) // after what the steps before have posted
	})
}

// Held returns what holds the directory, and the service's socket, or 0, unless something is under way there.
func (s *Supervisor) Held() (id fsstate.ID, held fsstate.Held, socket int, ok bool) {
	if !s.begun || s.state.Phase == Gone || s.lane.Busy() {
		return fsstate.ID{}, fsstate.Held{}, 0, false
	}
	id, held = s.record.dir.Held()
	return id, held, s.record.socket, true
}
