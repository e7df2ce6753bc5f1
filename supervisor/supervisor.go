package supervisor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/cgroup"
	"upkeep/fsstate"
	"upkeep/logpipe"
	"upkeep/reaper"
	"upkeep/tai64"
)

// A Config says which service it is.
type Config struct {
	Name  string // in messages: the name of the directory entry, with /log for a logger
	Label string // as daemontools' supervise would have been given it: NAME, or log for a logger
	Path  string // of the service directory
	Real  string // the same without symbolic links, as it was found; what runs there is resumed though Path is gone
	Super string // of its supervise directory; empty for the place that SUPERVISEDIR gives

	// Stdin and Stdout are what run gets, unless it reads or writes Pipe: a logger has it as stdin, a
	// logged service as stdout.
	Stdin, Stdout int
	Pipe          *logpipe.Pipe
	Logger        bool
	LogProgram    bool          // the logger is the program log in the service's own directory, which Path is
	Group         *cgroup.Group // which run and all that it starts are in, or nil; this Supervisor's alone

	// Order, unless it is nil, says what each start waits for.
	Order Order

	// Watch is called, on the lane, when everything is made that supervising makes in the directory.
	Watch func()
}

// Events are what a Supervisor tells of itself. They are called on the Host's goroutine; a nil one is
// not called.
type Events struct {
	// Taken: the directory is supervised from here on.
	Taken func()
	// Refused: the directory could not be taken up, and supervision has not begun.
	Refused func(error)
	// Moved: the phase is another one.
	Moved func()
	// Died: the process has ended. essential is what the Definition says; wanted tells whether an
	// administrator had asked for the end, with d or x.
	Died func(status unix.WaitStatus, essential, wanted bool)
	// Released: supervision has ended, and the directory is free.
	Released func()
	// Broken: the Supervisor has panicked and is to be replaced. Its process goes on, and the directory is free.
	Broken func()
}

// A Supervisor supervises one service directory.
type Supervisor struct {
	Config
	host   *Host
	events Events
	log    *Supervisor // gets what follows the letter L
	logged *Supervisor // whose status has that of this log program, too
	lane   *Lane
	record record // the lane's

	state    State
	def      fsstate.Definition
	control  int // supervise/control, or -1
	pid      int
	born     ticks
	since    tai64.Label // of the last start or end, as the status has it
	started  time.Time   // of the last start or attempt
	deferred []Event
	wish     string // that is among them
	pause    *time.Timer
	deadline *time.Timer

	wait       unix.WaitStatus // of the last run
	group      int             // its process group, which is its pid
	deaths     []byte          // what supervise/death_tally says
	ready      time.Time       // when the process said that it is
	notice     *notice         // the descriptor by which it can say so, or nil
	noticed    string          // what Info.Notice is to say of it
	said       string          // what it says about itself
	noting     *time.Timer     // until that is recorded
	held       string          // what the start waits for, since it waits
	considered bool            // Reconsider will be called
	changed    bool            // what the trigger looks at has changed since the start was begun
	polling    *time.Timer     // until then, where changes of the trigger go unnoticed
	early      func()          // obeys what it has said before its start was known

	scripting []*script // what runs for letters
	preceded  bool      // control/u has run for the start that is under way
	due       uint64    // the tick before what is being started, run or another program
	killed    bool      // Kill was called

	starts   int
	lastEnd  fsstate.Info // Code, Signal and Ended of the last run
	cause    string       // why the last attempt to start it failed
	note     string
	reported string      // the cause of failing to start that was reported last
	badFiles string      // what of the Definition was reported last
	cleared  bool        // since the last start, Emptied was asked for
	retrying bool        // Retry will be called
	begun    bool        // the directory is taken up
	ending   atomic.Bool // Stop was called

	takenUp   time.Time // when it was
	unlimited bool      // limits have changed since the start that is under way was begun, perhaps after it has read them
}

// New returns a Supervisor that has not begun.
func New(h *Host, c Config, e Events) *Supervisor {
	s := &Supervisor{Config: c, host: h, events: e, lane: h.Pool.NewLane(), control: -1}
	s.lane.Panicked = func(p any, stack []byte) { h.PostLater(func() { s.breaks(p, stack) }) }
	return s
}

// Rename says that the service directory has another name.
func (s *Supervisor) Rename(name, label, path string) {
	s.Name, s.Label, s.Path = name, label, path
	if s.begun && s.state.Phase != Gone {
		s.lane.Do(func() { s.record.dir.Moved(path) })
	}
}

// Locate finds out where the service directory is now, and calls found with its path; with none where it is not taken up.
func (s *Supervisor) Locate(found func(path string)) {
	s.lane.Do(func() {
		path := ""
		if s.record.dir != nil {
			path = s.record.dir.Locate()
		}
		s.postLater(func() { found(path) })
	})
}

// Hasten has its status written without further delay, and calls then when that is done; it returns false if nothing
// is to be written.
func (s *Supervisor) Hasten(then func()) bool {
	return s.lane.Hasten(func() { s.postLater(then) })
}

// SetLog names the Supervisor of the service's logger, or none.
func (s *Supervisor) SetLog(log *Supervisor) {
	before := s.log
	if s.log = log; log != nil && log.LogProgram {
		log.logged = s
	}
	if before != log && before != nil && before.LogProgram && s.begun && s.state.Phase != Gone {
		s.writeStatus(true) // which says of no log any more
	}
}

// SetNote sets what svstat --long says beside the state.
func (s *Supervisor) SetNote(note string) {
	if s.note != note && s.begun && s.state.Phase != Gone {
		s.note = note
		s.writeStatus(true)
	}
}

// State returns the present state.
func (s *Supervisor) State() State { return s.state }

// Taken tells whether the directory is taken up.
func (s *Supervisor) Taken() bool { return s.begun }

// Tried tells whether the directory is taken up and the attempt to start the service, if it is to be
// started, is over.
func (s *Supervisor) Tried() bool { return s.begun && s.state.Phase != Starting }

// Begin takes the directory up and starts the service unless it is to be down.
func (s *Supervisor) Begin() {
	s.since, s.due = tai64.Now(), reaper.Tick()
	path, super, pipe, launch := s.Path, s.Super, s.Pipe, s.launcher()
	s.lane.Do(func() {
		def, bad := s.read(path)
		dir, err := fsstate.TakeHeld(path, super, nil, s.host.Held)
		if errors.Is(err, unix.ENOENT) && s.host.Crashed && s.Real != "" {
			def, bad = s.read(s.Real)
			dir, err = fsstate.TakeHeld(s.Real, super, nil, s.host.Held)
		}
		if dir == nil {
			s.postLater(func() { s.events.Refused(err) })
			return
		}
		s.record = record{dir: dir, group: s.Group}
		before, released := s.remember(dir, def)
		if before != nil && def.Dialect == fsstate.S6 {
			before.deaths = dir.ReadTally(def.MaxDeathTally)
		}
		starting := before == nil && !def.Down && !s.ending.Load()
		if err == nil && before == nil {
			err = dir.Complete(s.first(def, released))
		}
		dir.Settle()
		if s.Watch != nil {
			s.Watch()
		}
		control := dir.Control()
		s.postLater(func() { s.taken(def, bad, control, starting, before) })
		s.record.report(s, err)
		if starting && s.preliminary(def) {
			return // which taken sees to
		}
		if starting { // while the next directory is taken up
			s.record.makeTree()
			quick := !def.Remote && (pipe == nil || pipe.Named()) && !tellsReadiness(&def)
			s.doStart(quick, func() { launch(dir.Path(), def, quick, nil) })
		}
	})
}

// preliminary tells whether something comes before run.
func (s *Supervisor) preliminary(def fsstate.Definition) bool {
	return def.Trigger != "" || len(def.After) > 0 && s.Order != nil || strings.Contains(def.Control, "u") || def.Start
}

// first is the status of a service that was just taken up, and what is said beside it before it is
// started, which may take for ever, or where it was said that it is released.
func (s *Supervisor) first(def fsstate.Definition, released bool) (status, info []byte) {
	st := fsstate.Status{Since: s.since, Want: fsstate.WantUp}
	format := def.Format(s.host.Format)
	if def.Down {
		st.Want = fsstate.WantDown
	} else if def.Remote || released {
		info = fsstate.Info{Format: format, Phase: Starting.String(), World: s.host.World, After: reaper.Tick(), Notice: noticeOf(def)}.Append(nil)
	}
	return st.Append(nil, format), info
}

// taken says that the directory is supervised, and whether run is being executed already.
func (s *Supervisor) taken(def fsstate.Definition, bad error, control int, starting bool, before *past) {
	s.definition(def, bad)
	s.begun = true
	s.started = time.Now()
	s.takenUp = s.started
	switch {
	case before != nil:
		s.resume(*before)
	default:
		s.state = Initial(!starting)
		if !starting {
			s.writeStatus(true)
		}
	}
	switch {
	case before != nil:
		s.deaths = before.deaths
	case def.Dialect == fsstate.S6:
		s.writeTally(nil)
	}
	s.tell(fsstate.EventTaken)
	if s.events.Taken != nil {
		s.events.Taken()
	}
	if starting && s.preliminary(def) {
		s.start()
	}
	s.listen(control)
	switch {
	case s.ending.Load():
		s.Letters("dx")
	case !s.state.busy():
		s.replay() // the letters that came before there was a state
	}
}

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

// listen begins to read control, once there is one.
func (s *Supervisor) listen(control int) {
	if control < 0 || s.control >= 0 || s.state.Phase == Gone {
		return
	}
	err := s.host.Controls.Add(control, func(batch []byte) {
		if letters := string(known(batch)); letters != "" {
			s.post(func() { s.Letters(letters) })
		}
	})
	if err != nil {
		s.host.Warn(s.Name, "cannot listen to supervise/control: %v; letters are not heard", err)
		return
	}
	s.control = control
}

// definition takes over what the service directory asks for now.
func (s *Supervisor) definition(def fsstate.Definition, bad error) {
	s.def = def
	text := ""
	if bad != nil {
		text = bad.Error()
	}
	if text != "" && text != s.badFiles {
		s.host.Warn(s.Name, "%s", text)
	}
	s.badFiles = text
}

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

// A process tells the Host's goroutine of the starts and ends that the reaper sees.
type process struct {
	s *Supervisor
	role
	after uint64 // the tick when it was about to be started
}

// ticks are those between which a process was started.
type ticks struct{ after, by uint64 }

// process returns the owner of what is about to be started.
func (s *Supervisor) process(r role) process { return process{s, r, reaper.Tick()} }

// A role is what a process is for.
type role uint8

const (
	runs role = iota
	finishes
	prepares
)

func (p process) Started(pid int) {
	now, by := time.Now(), reaper.Tick()
	p.s.postLater(func() { // by the step that forks
		p.s.born = ticks{p.after, by}
		switch p.role {
		case finishes:
			p.s.onFinishStarted(pid)
		case prepares:
			p.s.onPreludeStarted(pid, now)
		default:
			p.s.onStarted(pid, now)
		}
	})
}

func (p process) Exited(e reaper.Exit) {
	now := time.Now()
	if p.role == prepares {
		p.s.host.PostEnd(
			func() bool { return false },
			func() { defer p.s.isolate(); p.s.onPrepared(e, now) },
		)
		return
	}
	if p.role == finishes {
		p.s.host.PostEnd(
			func() bool { return false },
			func() { defer p.s.isolate(); p.s.onFinished(e, tai64.FromTime(now)) },
		)
		return
	}
	p.s.host.PostEnd(
		func() bool { defer p.s.isolate(); return p.s.restart(e, now) },
		func() { defer p.s.isolate(); p.s.onExited(e, now) },
	)
}

// program is the name of what is run.
func (s *Supervisor) program() string {
	if s.LogProgram {
		return "log"
	}
	return "run"
}

// read reads the Definition. That a file's value is not usable is the service's affair, not its log program's.
func (s *Supervisor) read(path string) (fsstate.Definition, error) {
	def, bad := fsstate.Read(path)
	if s.LogProgram {
		return def.OfLog(), nil
	}
	return def, bad
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
