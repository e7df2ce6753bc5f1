package supervisor

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/logpipe"
	"upkeep/reaper"
	"upkeep/tai64"
)

// program is the name of what is run.
func (s *Supervisor) program() string {
	if s.LogProgram {
		return "log"
	}
	return "run"
}

// start executes run, on the lane.
func (s *Supervisor) start() {
	s.started = time.Now()
	stop(s.deadline)
	s.deadline = nil
	waiting, free := s.order()
	if waiting != "" {
		s.post(func() { s.hold(waiting) })
		return
	}
	if strings.Contains(s.scripts(), "u") && !s.preceded {
		s.queueStatus(true, s.lane.DoRecord) // that it is not run that runs
		s.execScript('u', func(unix.WaitStatus) {
			if s.preceded = true; s.killed || s.ending.Load() { // now the letters that have waited
				s.event(Event{Kind: StartFailed})
			} else {
				s.start()
			}
		})
		return
	}
	s.due = reaper.Tick()
	if s.def.Start && !s.state.Prepared {
		s.prepare()
		return
	}
	launch := s.launcher()
	quick := s.quick()
	info := s.info()
	after := s.def.After
	s.doStart(quick, func() {
		path := s.record.dir.Locate()
		def, bad := s.read(path)
		s.postLater(func() { s.definition(def, bad) })
		if s.Order != nil && !slices.Equal(def.After, after) {
			s.postLater(func() {
				if s.state.Phase == Starting {
					s.start() // and waits for what it is to wait for now
				}
			})
			return
		}
		if def.Trigger != "" && !free && !s.satisfied(def.Trigger, quick) {
			return
		}
		if def.Oneshot {
			s.postLater(s.allDone)
			return
		}
		launch(path, def, quick, &info)
	})
}

func (s *Supervisor) doStart(quick bool, run func()) {
	if quick {
		s.lane.DoQuickStart(run)
	} else {
		s.lane.DoStart(run)
	}
}

// quick tells whether the next start uses no descriptor that others have opened, and opens none that lasts.
func (s *Supervisor) quick() bool {
	cleared := s.cleared // there may be somebody to tell that nobody waits for the cgroup any more
	s.cleared = false
	return !cleared && !s.def.Remote && (s.Pipe == nil || s.Pipe.Named()) && !tellsReadiness(&s.def) && s.def.Trigger == ""
}

// elsewhere runs f on another goroutine, for which the descriptors are those of all, and waits for it.
func elsewhere(f func()) {
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		defer reaper.Deafen()()
		f()
	}()
	if p := <-done; p != nil {
		panic(p)
	}
}

// launcher returns what a step needs to execute run. quick says that the step may be on a thread with
// descriptors of its own.
//
// Right before run is executed info, unless it is nil, goes to supervise/resume: what was started earlier
// and is still there is then known from what is started now, whenever somebody has to look.
func (s *Supervisor) launcher() func(path string, def fsstate.Definition, quick bool, info *fsstate.Info) {
	stdin, stdout, pipe, logger := s.Stdin, s.Stdout, s.Pipe, s.Logger
	return func(path string, def fsstate.Definition, quick bool, info *fsstate.Info) {
		spec := s.spec(path, def, stdin, stdout)
		spec.Path, spec.Args, spec.NewPIDs = "./run", def.Dialect.RunArgs(s.Name), def.NewPIDs
		if s.LogProgram {
			spec.Path, spec.Args = "./log", []string{"./log"}
		}
		if !s.placed(&spec, path, def) {
			return
		}
		if info != nil {
			info.Notice = noticeOf(def)
		}
		execute := func() error { return s.launch(spec, quick, pipe, logger, info, s.process(runs)) }
		if tellsReadiness(&def) {
			execute = s.heard(&spec, def, quick, execute)
		}
		if err := execute(); err != nil {
			hint := startHint(filepath.Join(path, s.program()), def, err)
			s.postLater(func() { s.startFailed(err, hint) })
		}
	}
}

// spec is what all programs of the service have in common.
func (s *Supervisor) spec(path string, def fsstate.Definition, stdin, stdout int) reaper.Spec {
	return reaper.Spec{
		Env: s.host.Env, Dir: path,
		Stdin: stdin, Stdout: stdout, Stderr: s.host.Stderr,
		Setsid: !def.NoSetsid, Remote: def.Remote, Await: s.lane.Await,
	}
}

// launch records what is about to be executed, unless info is nil, and executes it.
func (s *Supervisor) launch(spec reaper.Spec, quick bool, pipe *logpipe.Pipe, logger bool, info *fsstate.Info, owner reaper.Owner) (err error) {
	execute := func() {
		if info != nil {
			info.After = reaper.Tick()
			s.record.dir.Announce(info.Append(nil))
		}
		err = s.execute(spec, pipe, logger, owner)
	}
	if quick && spec.Reports() { // by now: the trampoline's report is read on another thread
		elsewhere(execute)
	} else {
		execute()
	}
	return err
}

func (s *Supervisor) execute(spec reaper.Spec, pipe *logpipe.Pipe, logger bool, owner reaper.Owner) error {
	if pipe != nil {
		end, err := pipeEnd(pipe, logger)
		if err != nil {
			return fmt.Errorf("cannot open the log pipe: %w", err)
		}
		defer unix.Close(end)
		if logger {
			spec.Stdin = end
		} else {
			spec.Stdout = end
		}
	}
	return s.host.Reaper.Start(spec, owner)
}

func pipeEnd(p *logpipe.Pipe, logger bool) (int, error) {
	if logger {
		return p.Reader()
	}
	return p.Writer()
}

// startHint says what the errno of a failed execve does not.
func startHint(run string, def fsstate.Definition, err error) string {
	var st unix.Stat_t
	if unix.Stat(run, &st) != nil {
		return ""
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return "it is a directory"
	case err == unix.ENOENT:
		if name := fsstate.Interpreter(run); name != "" {
			return "there is no " + name + ", which its first line names"
		}
	case err == unix.EACCES && st.Mode&0o111 == 0:
		return "it is not executable"
	case err == unix.ENOEXEC:
		return "its first line does not begin with #!"
	case def.NewPIDs && (err == unix.EPERM || err == unix.EINVAL || err == unix.ENOSPC || err == unix.ENOSYS):
		return "the kernel gives no PID namespace, for which there is a file flag-newpidns"
	}
	return ""
}

func (s *Supervisor) onStarted(pid int, at time.Time) {
	if s.state.Phase == Gone { // it broke meanwhile
		s.host.Reaper.Disown(pid)
		return
	}
	s.pid = pid
	s.since = tai64.FromTime(at)
	s.started = at
	s.starts++
	s.noticed = noticeOf(s.def)
	s.cause, s.held = "", ""
	s.group = pid
	s.event(Event{Kind: Started})
	s.notify(s.program(), nil)
	s.tell(fsstate.EventUp)
	if s.early != nil {
		s.early()
		s.early = nil
	}
	if s.unlimited {
		s.unlimited = false
		s.tree((*record).limit)
	}
}

func (s *Supervisor) startFailed(err error, hint string) {
	text := fmt.Sprintf("cannot start ./%s: %v", s.program(), err)
	if hint != "" {
		text += " (" + hint + ")"
	}
	s.cause, s.early = text, nil
	s.event(Event{Kind: StartFailed})
	// A directory that is still being filled is none of the administrator's worries.
	if time.Since(s.takenUp) < young || s.reported == text {
		return
	}
	s.reported = text
	if _, ok := err.(unix.Errno); ok && !s.LogProgram { // and not one of what supervise does not know, such as limits
		s.host.StartError(s.Label, err)
	}
	next := "not trying again"
	if s.state.Phase == Waiting {
		next = fmt.Sprintf("trying again in %v", max(young, s.state.Pace))
	}
	s.host.Warn(s.Name, "%s; %s", text, next)
}
