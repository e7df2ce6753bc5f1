package supervisor

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/reaper"
	"upkeep/tai64"
)

func (s *Supervisor) onExited(e reaper.Exit, at time.Time) {
	if s.state.Phase == Gone {
		return
	}
	s.pid = 0
	s.forgetNotice()
	label := tai64.FromTime(at)
	if !s.def.Finish || s.def.Dialect != fsstate.Runit { // which has the time of the start while finish runs
		s.since = label
	}
	if s.def.Finish || s.def.Stop { // which has a time of its own
		stop(s.deadline)
		s.deadline = nil
	}
	if e.Launch != nil {
		s.starts--
		def := s.def
		s.lane.Do(func() {
			hint := startHint(filepath.Join(s.record.dir.Path(), s.program()), def, e.Launch)
			s.postLater(func() { s.startFailed(e.Launch, hint) })
		})
		return
	}
	s.reported = ""
	s.lastEnd = fsstate.Info{Ended: new(label)}
	s.wait = e.Status
	switch {
	case e.Unknown:
		s.wait = unseen
	case e.Status.Signaled():
		s.lastEnd.Signal = new(int(e.Status.Signal()))
	default:
		s.lastEnd.Code = new(e.Status.ExitStatus())
	}
	wanted := s.state.Want == fsstate.WantDown || s.state.Leave
	s.countDeath(label)
	s.notify(s.program(), &e)
	s.event(s.exited(e, at))
	if s.state.Phase == Failed {
		s.tell(fsstate.EventDead, fsstate.EventFailed, fsstate.EventDown)
	} else if s.state.Phase != Finishing {
		s.tell(fsstate.EventDead, fsstate.EventDown)
	}
	if s.Group != nil && e.Status.Signal() == unix.SIGKILL {
		s.askWhoKilled(label, at.Sub(s.started) < young)
	}
	if s.events.Died != nil {
		s.events.Died(s.wait, s.def.Essential, wanted)
	}
}

// restart is onExited where nothing follows from the end but the next start.
func (s *Supervisor) restart(e reaper.Exit, at time.Time) bool {
	if !s.begun || s.def.Essential || e.Launch != nil || s.notice != nil {
		return false
	}
	_, actions := Next(s.state, s.exited(e, at))
	if len(actions) != 1 || actions[0].Kind != Start {
		return false
	}
	s.onExited(e, at)
	return true
}

// exited is the event of an end.
func (s *Supervisor) exited(e reaper.Exit, at time.Time) Event {
	failed := !e.Unknown && s.def.Dialect.RunFailed(e.Status.ExitStatus())
	if failed {
		s.cause = fmt.Sprintf("%s has ended with exit code %d: it is started again when a letter asks for it", s.program(), e.Status.ExitStatus())
	}
	return s.told(Event{Kind: Exited, Since: at.Sub(s.started), Failed: failed})
}

// countDeath records that run has ended, as s6 does.
func (s *Supervisor) countDeath(at tai64.Label) {
	if s.def.Dialect != fsstate.S6 || s.def.MaxDeathTally == 0 {
		return
	}
	s.deaths = fsstate.AppendDeath(s.deaths, fsstate.Death{At: at, Status: s.wait}, s.def.MaxDeathTally)
	s.writeTally(slices.Clone(s.deaths))
}

func (s *Supervisor) writeTally(tally []byte) {
	s.lane.Do(func() {
		if err := s.record.dir.WriteTally(tally); err != nil {
			s.postLater(func() { s.host.Warn(s.Name, "%v; s6's programs do not learn of its last deaths", err) })
		}
	})
}
