package supervisor

import (
	"golang.org/x/sys/unix"

	"upkeep/fsstate"
)

// Stop ends the service and then its supervision, as the letters d and x do.
func (s *Supervisor) Stop() {
	if !s.ending.Swap(true) && s.begun {
		s.Letters("dx")
	}
}

// Drain ends supervision when the process has ended by itself, as the letter x does. A logger does so
// once its pipe, which is closed when a start that is under way has it, is empty. One that is only
// waiting to be started again is started now.
func (s *Supervisor) Drain() {
	if s.state.Phase == Waiting {
		s.event(Event{Kind: PauseOver})
	}
	s.lane.Do(s.Pipe.Close)
	s.Pipe = nil
	if s.begun {
		s.Letters("cx")
	} else {
		s.ending.Store(true)
	}
}

// Kill sends KILL to whatever still runs, and lets no script come before a letter any more.
func (s *Supervisor) Kill() {
	if s.pid != 0 {
		s.host.Reaper.Signal(s.pid, unix.SIGKILL, false)
	}
	s.killed = true
	s.killScripts()
	if g := s.Group; g != nil { // not on the service's lane, which may hang
		s.host.Pool.NewLane().Do(func() { g.Kill() })
	}
}

func (s *Supervisor) release() {
	stop(s.pause)
	stop(s.deadline)
	if s.control >= 0 {
		s.host.Controls.Remove(s.control)
		s.control = -1
	}
	s.tell(fsstate.EventLeft)
	s.lane.Do(func() {
		s.unwatch()
		s.record.closeSocket(s.host)
		s.record.removeTree()
		s.record.dir.Close()
		s.postLater(s.events.Released)
	})
}
