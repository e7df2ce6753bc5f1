package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"upkeep/cgroup"
	"upkeep/fsstate"
)

// A record is the half of a Supervisor that belongs to its Lane: the supervised directory and how
// well writing to it goes.
type record struct {
	dir    *fsstate.Dir
	failed string // what was reported as not recorded, until it is

	group    *cgroup.Group
	unwatch  func() // ends the waiting for the group to be empty
	oomKills uint64 // of the group, as last seen
	counted  bool   // they were looked at once
	made     bool   // the group was just made, or found
	makeErr  error
	unplaced string // what was reported of the group

	socket   int       // to which run can say that it is ready, or 0
	watching *watching // of what the trigger looks at
	fifodir  fsstate.Fifodir
	told     string // where the service directory was then
	untold   string // what was reported of it
}

// writeStatus queues the present state for supervise/status, and with info for supervise/resume too, where it can
// wait until what is to be started is.
func (s *Supervisor) writeStatus(info bool) { s.queueStatus(info, s.lane.DoStatus) }

func (s *Supervisor) queueStatus(info bool, queue func(func())) {
	format := s.def.Format(s.host.Format)
	status := s.status().Append(nil, format)
	if log := s.log; format == fsstate.FormatEncore && log != nil && log.LogProgram && log.begun {
		status = log.status().Append(status, format)
	}
	var i *fsstate.Info
	if info {
		i = new(s.info())
	}
	queue(func() { s.record.write(s, status, i) })
	if by := s.logged; by != nil && by.log == s && by.begun && by.state.Phase != Gone {
		by.writeStatus(true) // one that waits, and is made pointless, may have been with info
	}
}

func (r *record) write(s *Supervisor, status []byte, i *fsstate.Info) {
	var info []byte
	if i != nil {
		info = i.Append(nil)
	}
	before := r.dir.Control()
	err := r.dir.Complete(status, info)
	if control := r.dir.Control(); control != before {
		s.postLater(func() { s.listen(control) })
	}
	r.report(s, err)
}

// retryRecord is how long it takes until what could not be recorded is tried again.
const retryRecord = 5 * time.Second

// report says once what is not recorded, and once that it is again.
func (r *record) report(s *Supervisor, err error) {
	text := ""
	if err != nil {
		text = err.Error()
		s.postLater(s.retryLater)
	}
	if text == r.failed {
		return
	}
	r.failed = text
	s.postLater(func() {
		switch {
		case err == nil:
			s.host.Warn(s.Name, "its state is recorded again")
		case s.control < 0 && !errors.Is(err, fsstate.ErrLocked):
			s.host.Warn(s.Name, "%v; it is supervised, but can be neither watched nor controlled until that works", err)
		default:
			s.host.Warn(s.Name, "%v; its state is not recorded until that works", err)
		}
	})
}

// retryLater sees to it that Retry is called.
func (s *Supervisor) retryLater() {
	if s.retrying {
		return
	}
	s.retrying = true
	s.after(retryRecord, func() {
		s.retrying = false
		s.Retry()
	})
}

// status is what supervise/status says.
func (s *Supervisor) status() fsstate.Status {
	st := fsstate.Status{
		Since: s.since, Pid: s.pid, Paused: s.state.Paused, Want: s.state.Want, GotTerm: s.state.Term,
		Ready: s.state.Ready && s.state.running(), Exit: uint16(s.wait),
	}
	switch s.state.Phase {
	case Up, Ready:
		st.Phase, st.State = fsstate.PhaseRun, fsstate.EncoreRunning
	case Stopping:
		st.Phase, st.State = fsstate.PhaseRun, fsstate.EncoreStopping
	case Starting, Waiting: // with a pid it is that of start
		st.State = fsstate.EncoreStarting
	case Finishing:
		st.Phase = fsstate.PhaseFinish
	case Failed:
		st.State = fsstate.EncoreFailed
	case Done:
		st.State = fsstate.EncoreStarted
	}
	return st
}

// scriptFirst is why a service does not run yet.
const scriptFirst = "control/u comes first"

// info is what supervise/resume says.
func (s *Supervisor) info() fsstate.Info {
	i := s.lastEnd
	i.Format = s.def.Format(s.host.Format)
	i.Phase = s.state.Phase.String()
	i.Pid = s.pid
	switch {
	case s.pid != 0:
		i.After, i.By = s.born.after, s.born.by
		i.Notice = s.noticed
	case s.state.Phase == Starting && !s.preceded && strings.Contains(s.scripts(), "u"): // what runs then is not run
		i.Phase = Waiting.String()
		i.Cause = scriptFirst
	case s.state.Phase == Starting: // it may be running already
		i.After = s.due
		i.Notice = noticeOf(s.def)
	case s.state.Phase == Finishing:
		i.After = s.due
	}
	i.Want = new(s.state.Want)
	i.Letters = s.wish
	i.World = s.host.World
	i.Since = new(s.since)
	i.Leave, i.Term, i.Pause = s.state.Leave, s.state.Term, s.state.Paused
	i.Pace = int(s.state.Pace / time.Second)
	i.Prepared = s.def.Start && s.state.Prepared
	i.Starts = new(s.starts)
	if i.Note = s.said; i.Note == "" {
		i.Note = s.note
	}
	if s.Group != nil {
		i.Cgroup = s.Group.Path()
	}
	if s.state.Phase == Clearing {
		i.Cause = "what it has left in its cgroup is still to end"
	}
	if s.state.Phase == Failed {
		i.Cause = s.cause
	}
	if s.state.Phase == Waiting {
		i.Cause = s.cause
		if s.state.Held {
			i.Cause = "waits for " + s.held
		}
		if i.Cause == "" {
			i.Cause = fmt.Sprintf("lived too short: starts again %v after its last start", max(young, s.state.Pace))
		}
	}
	return i
}

// known keeps the letters that mean something.
func known(batch []byte) []byte {
	return slices.DeleteFunc(batch, func(c byte) bool {
		switch c {
		case 'u', 'd', 'o', 'x', '+', '=', 'L', 'l':
			return false
		case 'O', 'r', 'b', 'y', 'P', 'C', 'K', 'D', 'U', 'Q': // s6's
			return false
		}
		return letterSignal(c) == 0 && !strings.Contains(failLetters, string(c))
	})
}

// lasting makes a letter of s6's hold for the next time that the service is taken up, too: there is a file down after
// D and Q, and none after U. It returns the letter for the present time.
func (s *Supervisor) lasting(c byte) byte {
	if s.begun && s.state.Phase != Gone {
		s.lane.Do(func() {
			if err := s.record.dir.SetDown(c != 'U'); err != nil {
				s.postLater(func() { s.host.Warn(s.Name, "%v; the letter %c holds until it is next taken up", err, c) })
			}
		})
	}
	return map[byte]byte{'D': 'd', 'U': 'u', 'Q': 'O'}[c]
}

// Letters handles what a client wrote at once. A + sends the signals that follow to the process group,
// a = to the process again; what follows an L is for the logger, up to an l. An l alone is s6's, where there
// is a reload-signal.
func (s *Supervisor) Letters(batch string) {
	if batch == "l" {
		s.event(Event{Kind: Letter, Letter: 'l'})
		return
	}
	target, group := s, false
	for _, c := range []byte(batch) {
		switch c {
		case '+', '=':
			group = c == '+'
		case 'L':
			target = s.log
		case 'l':
			target = s
		case 'D', 'U', 'Q':
			if target != nil {
				target.event(Event{Kind: Letter, Letter: target.lasting(c)})
			}
		default:
			if target != nil {
				target.fail(c)
				target.event(Event{Kind: Letter, Letter: c, Group: group})
			}
		}
	}
}
