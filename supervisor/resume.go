package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/cgroup"
	"upkeep/fsstate"
	"upkeep/reaper"
	"upkeep/tai64"
)

// A past is what an upkeep that has ended without ending its services, or has executed itself anew, left
// behind of one.
type past struct {
	info fsstate.Info
	// process is the one that runs, as far as can be told without taking it over; its Pid is 0 if none does.
	process reaper.Process
	deaths  []byte // what supervise/death_tally says, where it counts
}

// Resume is the state of a service that an earlier upkeep has supervised, and what is to be done. i is what
// that has recorded last; alive tells whether the process of then, or one that was started since, still lives.
// e has what the machine cannot know by itself, with Since the time since the last start or end.
func Resume(i fsstate.Info, alive bool, e Event) (State, []Action) {
	s := State{Want: fsstate.WantUp, Leave: i.Leave, Paused: i.Pause, Term: i.Term, Pace: time.Duration(i.Pace) * time.Second, Prepared: i.Prepared}
	if i.Want != nil {
		s.Want = *i.Want
	}
	record := []Action{{Kind: Record}}
	switch phase := i.Phase; {
	case alive && e.Prelude && phase == Starting.String():
		s.Phase, s.Prelude = Starting, true
		return s, record
	case alive && phase == Stopping.String():
		s.Prelude = e.Prelude
		s.Phase = Stopping
		return s, deadline(record, e.TimeoutKill)
	case alive && phase == Finishing.String():
		s.Phase = Finishing
		return s, deadline(record, e.TimeoutFinish)
	case alive && phase == Ready.String():
		s.Phase, s.Ready = Ready, true
		return s, record
	case alive:
		s.Phase = Up
		return s, record
	case phase == Failed.String():
		if s.Phase = Failed; s.Leave {
			return leave(s)
		}
		return s, record
	case phase == Finishing.String() && i.Pid == 0 && (e.Finish || e.Stop): // it never was, as far as anybody knows
		s.Phase, s.Deaf = Finishing, true
		return s, []Action{{Kind: Finish}}
	case (phase == Starting.String() || phase == Waiting.String()) && s.Want == fsstate.WantOnce && !s.Leave:
		return start(s, record) // it never was, as far as anybody knows
	case phase == Finishing.String(), phase == Waiting.String():
		return finished(s, e, nil)
	case phase == Done.String():
		s.Phase = Done
		return s, record
	case phase == Down.String() && s.Leave:
		return leave(s)
	case phase == Down.String():
		return s, record
	case phase == Clearing.String() && e.Tree:
		s.Phase = Clearing
		return s, clear(record, e)
	case phase == Clearing.String():
		return cleared(s)
	}
	s.Phase = Up
	e.Finish, e.Stop = e.Finish && i.Pid != 0, e.Stop && i.Pid != 0 // which are not for what never was
	return ended(s, e)
}

// remember reads what an earlier upkeep has left of the service, and looks for its process. It returns nil if
// that was in another world, or if supervision has ended as it should; released says that it is the latter. It is
// called on the lane.
func (s *Supervisor) remember(dir *fsstate.Dir, def fsstate.Definition) (before *past, released bool) {
	i, err := dir.Resume()
	switch known := err == nil && i.In(s.host.World); {
	case known && i.Phase == Gone.String():
		return nil, true
	case known:
		return s.recall(i, dir, def), false
	case !s.host.Crashed:
		return nil, false
	}
	// The first start may have been its last act.
	if p := s.find(dir, def, 0); p.Pid != 0 {
		return &past{info: fsstate.Info{Phase: Up.String(), Notice: noticeOf(def)}, process: p}, false
	}
	return nil, false
}

// recall is remember where what was recorded counts.
func (s *Supervisor) recall(i fsstate.Info, dir *fsstate.Dir, def fsstate.Definition) *past {
	if i.Pid != 0 {
		if p, err := reaper.Look(i.Pid); err == nil && i.Is(p.Start) {
			return &past{info: i, process: p}
		}
		if s.host.Reaper.Kept(i.Pid) {
			return &past{info: i, process: reaper.Process{Pid: i.Pid}}
		}
	}
	if i.Phase == Starting.String() || i.Phase == Finishing.String() {
		return &past{info: i, process: s.find(dir, def, i.After)}
	}
	return &past{info: i}
}

// find looks for the process of a service that was started and not recorded: in the service's cgroup, or
// else by its working directory or its log pipe.
func (s *Supervisor) find(dir *fsstate.Dir, def fsstate.Definition, after uint64) (found reaper.Process) {
	for _, p := range s.host.left(s.Group, dir.Path(), def, after) {
		switch {
		case def.Log && readsLog(p.Pid) != s.LogProgram:
		case found.Pid == 0, p.Start < found.Start, p.Start == found.Start && p.Pid < found.Pid:
			found = p
		}
	}
	return found
}

// left are the processes that an earlier upkeep may have started as a service, at a tick or later: in a cgroup, or
// where that is nil in a directory.
func (h *Host) left(group *cgroup.Group, dir string, def fsstate.Definition, after uint64) (list []reaper.Process) {
	h.Census.Settle()
	var pids []int
	if group != nil {
		pids, _ = group.Pids()
	} else {
		pids = h.Census.Within(dir)
	}
	for _, pid := range pids {
		p, err := reaper.Look(pid)
		switch {
		case err != nil, p.Zombie, p.Start < after, h.Reaper.Has(pid):
		case !def.NoSetsid && p.Session != p.Pid: // not the one that was started, but something of it
		default:
			list = append(list, p)
		}
	}
	return list
}

// Runs tells whether a process that an earlier upkeep may have started as the service of a directory, at a tick or
// later, runs in a cgroup, or where that is nil in the directory.
func (h *Host) Runs(group *cgroup.Group, dir string, after uint64) bool {
	def, _ := fsstate.Read(dir)
	return len(h.left(group, dir, def, after)) > 0
}

// readsLog tells whether a process that works in a directory with a log program may be that.
func readsLog(pid int) bool {
	stdin, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", pid))
	return filepath.Base(stdin) == "logpipe"
}

// resume goes on where an earlier upkeep has ended.
func (s *Supervisor) resume(p past) {
	i, now := p.info, time.Now()
	s.lastEnd = fsstate.Info{Code: i.Code, Signal: i.Signal, Ended: i.Ended, OOM: i.OOM}
	if i.Starts != nil {
		s.starts = *i.Starts
	}
	if i.Since != nil {
		s.since = *i.Since
	}
	s.started = s.since.Time()
	s.ready = s.started
	s.wait, s.group = waitStatus(i), i.Pid
	alive, kind := false, runs
	prelude := s.def.Start && !i.Prepared && (i.Phase == Starting.String() || i.Phase == Stopping.String())
	switch {
	case i.Phase == Finishing.String():
		kind, s.group = finishes, 0
	case prelude:
		kind, s.group = prepares, 0
	}
	if p.process.Pid != 0 {
		var watch int
		watch, alive = s.host.Reaper.TakeOver(p.process.Pid, p.process.Start, process{s, kind, p.process.Start})
		if alive && watch >= 0 {
			s.host.WatchPid(p.process.Pid, watch, func(err error) {
				s.host.Warn(s.Name, "cannot wait for the end of its process: %v; looking every second", err)
			})
		}
	}
	switch {
	case alive:
		s.pid, s.born = p.process.Pid, ticks{p.process.Start, p.process.Start}
		if kind == runs && p.process.Pid != i.Pid { // it was started, and nobody had the time to say so
			s.starts++
			s.since, s.started = tai64.FromTime(now), now
		}
	case i.Pid != 0 && kind == runs:
		s.wait = unseen
		s.lastEnd = fsstate.Info{Ended: new(tai64.FromTime(now))}
		s.since = *s.lastEnd.Ended
		defer s.diedUnseen(i)
	}
	if alive && kind == runs {
		s.noticed = i.Notice
		if tellsReadiness(&s.def) {
			s.said = i.Note
		}
	}
	s.deferred, s.wish = append(letters(i.Letters), s.deferred...), i.Letters
	e := s.told(Event{Prelude: prelude, Since: max(0, now.Sub(s.started))})
	var actions []Action
	s.state, actions = Resume(i, alive, e)
	s.do(actions, Started)
	if s.Group != nil {
		s.lane.Do(func() { s.record.count() })
	}
	if alive && kind == runs {
		s.hearAgain()
	}
}

func letters(text string) (events []Event) {
	for _, c := range []byte(text) {
		events = append(events, Event{Kind: Letter, Letter: c})
	}
	return events
}

// unseen is how a process has ended of which nobody can tell: as with a system error.
const unseen = unix.WaitStatus(111 << 8)

func (s *Supervisor) diedUnseen(i fsstate.Info) {
	if s.events.Died != nil {
		s.events.Died(unseen, s.def.Essential, i.Leave || i.Want != nil && *i.Want == fsstate.WantDown)
	}
}

// WatchPid waits for the end of a process that was taken over and is not our child. failed is called if that
// cannot be waited for; then it is looked at every second.
func (h *Host) WatchPid(pid, fd int, failed func(error)) {
	ended := func() {
		h.Controls.Remove(fd)
		if !readable(fd) { // it was the news of what has had that number before
			h.Post(func() {
				if h.Reaper.Has(pid) {
					h.WatchPid(pid, fd, failed)
				}
			})
			return
		}
		h.Reaper.Ended(pid)
		h.Post(func() {}) // a turn, for what the end has posted
	}
	if err := h.Controls.AddReady(fd, ended); err != nil {
		failed(err)
		h.pollPid(pid, fd)
	}
}

func (h *Host) pollPid(pid, fd int) {
	if readable(fd) {
		h.Reaper.Ended(pid)
		return
	}
	h.After(time.Second, func() { h.pollPid(pid, fd) })
}

func readable(fd int) bool {
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n > 0
}
