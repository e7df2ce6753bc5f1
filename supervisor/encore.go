package supervisor

import (
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/reaper"
	"upkeep/tai64"
)

// daemontools-encore's start is executed before the first run, and before that which follows a u after the
// service was wanted down. If it fails the service has failed for good, and if it succeeds and there is no run,
// the service is up without a process.

// prepare executes start, on the lane.
func (s *Supervisor) prepare() {
	def, pipe, logger := s.def, s.Pipe, s.Logger
	stdin, stdout := s.Stdin, s.Stdout
	info := s.info()
	s.lane.DoStart(func() {
		path := s.record.dir.Locate()
		spec := s.spec(path, def, stdin, stdout)
		spec.Path, spec.Args = "./start", []string{"./start"}
		if !s.placed(&spec, path, def) {
			return
		}
		if err := s.launch(spec, false, pipe, logger, &info, s.process(prepares)); err != nil {
			s.postLater(func() { s.startFailed(fmt.Errorf("./start: %w", err), "") })
		}
	})
}

func (s *Supervisor) onPreludeStarted(pid int, at time.Time) {
	if s.state.Phase == Gone {
		s.host.Reaper.Disown(pid)
		return
	}
	s.pid, s.since, s.started = pid, tai64.FromTime(at), at
	s.cause, s.held = "", ""
	s.event(Event{Kind: Started, Prelude: true})
	s.notify("start", nil)
}

func (s *Supervisor) onPrepared(e reaper.Exit, at time.Time) {
	if s.state.Phase == Gone {
		return
	}
	s.pid, s.since = 0, tai64.FromTime(at)
	stop(s.deadline)
	failed := e.Launch != nil || e.Unknown || e.Status != 0
	if failed {
		s.cause = "start has failed: it is started again when a letter asks for it"
	}
	s.notify("start", &e)
	s.event(Event{Kind: Exited, Failed: failed})
}

// allDone says that there is no run to execute.
func (s *Supervisor) allDone() {
	s.cause, s.held = "", ""
	s.event(Event{Kind: AllDone})
}

// notify executes notify to tell that one of the service's programs was started, or with its end that it has
// ended. Nobody waits for it.
func (s *Supervisor) notify(who string, end *reaper.Exit) {
	if !s.def.Notify {
		return
	}
	what, pid, code := "start", s.pid, 0
	switch {
	case end == nil:
	case end.Status.Signaled():
		what, pid, code = "killed", end.Pid, int(end.Status.Signal())
	default:
		what, pid, code = "exit", end.Pid, end.Status.ExitStatus()
	}
	def, stdin, stdout := s.def, s.Stdin, s.Stdout
	s.lane.DoStart(func() {
		spec := s.spec(s.record.dir.Locate(), def, stdin, stdout)
		spec.Path = "./notify"
		spec.Setsid = false // whoever looks for run after a crash looks for the leader of a session
		spec.Args = []string{spec.Path, who, what, strconv.Itoa(pid), strconv.Itoa(code)}
		err := s.record.besides(s, &spec)
		if err == nil {
			err = s.host.Reaper.Start(spec, nobodys{})
		}
		if err != nil && err != unix.ENOENT {
			s.postLater(func() { s.host.Warn(s.Name, "cannot start ./notify: %v; it is not told of what happens", err) })
		}
	})
}

// nobodys is the Owner of a process whose end means nothing.
type nobodys struct{}

func (nobodys) Started(int)        {}
func (nobodys) Exited(reaper.Exit) {}
