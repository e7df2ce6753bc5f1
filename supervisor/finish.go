package supervisor

import (
	"fmt"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/reaper"
	"upkeep/tai64"
)

// finish executes finish, on the lane, with what run had.
func (s *Supervisor) finish() {
	def, pipe, logger := s.def, s.Pipe, s.Logger
	args := def.Dialect.FinishArgs(s.Name, s.wait, s.group)
	info := s.info()
	quick := !def.Remote && (pipe == nil || pipe.Named())
	stdin, stdout := s.Stdin, s.Stdout
	s.doStart(quick, func() {
		spec := s.spec(s.record.dir.Locate(), def, stdin, stdout)
		spec.Path, spec.Args = "./finish", args
		if def.Stop {
			spec.Path, spec.Args = "./stop", []string{"./stop"}
		}
		err := s.record.besides(s, &spec)
		if err == nil {
			err = s.launch(spec, quick, pipe, logger, &info, s.process(finishes))
		}
		if err != nil {
			s.postLater(func() { s.finishFailed(err) })
		}
	})
}

// besides has the process of spec born where run was.
func (r *record) besides(s *Supervisor, spec *reaper.Spec) error {
	if r.group == nil {
		return nil
	}
	r.makeTree()
	r.made = false
	err := r.makeErr
	if err == nil {
		err = r.group.Limits(s.limits(spec.Dir))
	}
	if err != nil {
		if s.host.NeedGroups {
			return err
		}
		r.reportTree(s, err)
		return nil
	}
	dir, join := r.group.Birth()
	s.host.Reaper.Place(spec, dir, join)
	return nil
}

// finishFailed goes on without finish, which need not be there any more.
func (s *Supervisor) finishFailed(err error) {
	if err != unix.ENOENT {
		what := "./finish"
		if s.def.Stop {
			what = "./stop"
		}
		s.host.Warn(s.Name, "cannot start %s: %v; it goes on without", what, err)
	}
	s.event(Event{Kind: StartFailed})
	s.tell(fsstate.EventDead, fsstate.EventDown)
}

func (s *Supervisor) onFinishStarted(pid int) {
	if s.state.Phase != Finishing {
		s.host.Reaper.Disown(pid)
		return
	}
	s.pid = pid
	s.event(Event{Kind: Started})
	s.notify("stop", nil)
	s.tell(fsstate.EventDead)
}

func (s *Supervisor) onFinished(e reaper.Exit, at tai64.Label) {
	if s.state.Phase != Finishing {
		return
	}
	s.pid = 0
	stop(s.deadline)
	if e.Launch != nil {
		s.finishFailed(e.Launch)
		return
	}
	if s.def.Dialect == fsstate.Runit { // whose label is that of the start up to here
		s.since = at
	}
	code := e.Status.ExitStatus()
	failed := !e.Unknown && (s.def.Dialect.FinishFailed(code) || s.def.Dialect.RunFailed(code))
	s.notify("stop", &e)
	if failed {
		s.cause = fmt.Sprintf("what runs after run has ended with exit code %d: it is started again when a letter asks for it", code)
	}
	s.event(Event{Kind: Exited, Failed: failed})
	if failed {
		s.tell(fsstate.EventFailed)
	}
	s.tell(fsstate.EventDown)
}

// waitStatus is what is known of how the last run has ended, as wait(2) says it.
func waitStatus(i fsstate.Info) unix.WaitStatus {
	switch {
	case i.Signal != nil:
		return unix.WaitStatus(*i.Signal)
	case i.Code != nil:
		return unix.WaitStatus(*i.Code << 8)
	}
	return unseen
}
