// Package supervisor supervises one service: what daemontools' supervise did in a process of its own.
//
// A Supervisor belongs to one goroutine, the Host's; it is told of letters, deaths and timers there and
// never blocks there. What can block, everything on the service's file system, runs on its Lane.
package supervisor

import (
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
)

// A Phase is where a service is in its life.
type Phase uint8

const (
	Down      Phase = iota // not running, and not about to
	Starting               // run is being executed; its pid is not known yet
	Up                     // run runs
	Stopping               // run was told to end by the letter d, and still runs
	Waiting                // not running, and started when the pause is over or what it waits for is there
	Clearing               // not running, and what it left in its cgroup is to end before anything else
	Ready                  // run runs, and has said that it is ready; otherwise as Up
	Finishing              // run has ended, and finish runs or is being executed
	Failed                 // not running, and not to be started until a letter asks for it
	Done                   // up without a process: start has ended, and there is no run
	Gone                   // no longer supervised
	phases
)

var phaseNames = [phases]string{"down", "starting", "up", "stopping", "waiting", "clearing", "ready", "finishing", "failed", "started", "gone"}

func (p Phase) String() string { return phaseNames[p] }

// young is how long a service must live to be started again at once. It is also the shortest time
// between two starts that no letter asked for.
const young = time.Second

// killAgain is how long after a KILL the next one is sent to what still runs, as s6 does.
const killAgain = 5 * time.Second

// A State is all that decides what follows an Event.
type State struct {
	Phase  Phase
	Want   fsstate.Want
	Leave  bool // x: supervision ends with the process
	Paused bool // p: as the last p or c had it
	Term   bool // the process was sent TERM and has not ended
	Broken bool // the last attempt to start failed
	Ready  bool // the process has said that it is ready, or the last one had
	Held   bool // waiting for something else than the time
	// Of daemontools-encore's: start runs in place of run; it has run since the service was wanted down; stop has run
	// since run has.
	Prelude, Prepared, Stopped bool

	Script bool // a script for a letter runs, and the letters that follow wait
	Deaf   bool // something is being executed, and letters wait until it is
	// Pace is the least time between two starts that the backoff file has brought about so far.
	Pace time.Duration
}

// An EventKind names what can happen to a service.
type EventKind uint8

const (
	Letter      EventKind = iota // a byte from supervise/control
	Started                      // run is running
	StartFailed                  // run could not be executed
	Exited                       // run has ended
	PauseOver                    // the pause that the last Pause action asked for is over
	Overdue                      // the time that the last Deadline action gave is over, and nothing was started since
	Changed                      // something in the service directory has changed
	Occupied                     // run was not executed: something lives in the cgroup, which is to be empty
	Emptied                      // nothing lives in the cgroup any more
	Readied                      // run has said that it is ready
	Scripted                     // what a letter's scripts had to do is done: now the letter
	Held                         // run was not executed: the start waits for something
	Unheld                       // what the start has waited for is there, or another look is due
	AllDone                      // run was not executed: there is none, and start was all there was to do
	eventKinds
)

// An Event is what happens, with what the machine cannot know by itself.
type Event struct {
	Kind    EventKind
	Letter  byte
	Group   bool          // Letter: its signals go to the process group
	Since   time.Duration // since the last start, or attempt
	Tree    bool          // the service has a cgroup, so that what it leaves behind can be ended
	Prelude bool          // Started: what runs is start
	Instead bool          // Scripted: the signal is not to be sent
	Failed  bool          // Exited: it makes no sense to start run again
	Ready   time.Duration // since run has said that it is ready, if it has

	// The rest is the Definition's.
	Dialect       fsstate.Dialect
	Finish        bool
	Stop          bool
	Scripts       string // the letters that have a script
	Backoff       time.Duration
	TimeoutKill   time.Duration
	TimeoutFinish time.Duration
	KillGroup     bool
	DownSignal    unix.Signal // 0 is TERM
	ReloadSignal  unix.Signal // 0 if l means nothing
}

// An ActionKind names what the machine can ask for.
type ActionKind uint8

const (
	Record   ActionKind = iota // write the status
	Start                      // execute run
	Finish                     // execute finish, or stop
	Script                     // execute Scripts, and report Scripted for Letter
	Signal                     // send Sig to the process, or with Group to its group
	Pause                      // report PauseOver after For
	Deadline                   // report Overdue after For
	Defer                      // handle the same event again when Starting is over
	Freeze                     // stop what else is in the cgroup
	Thaw                       // let all that is in it go on
	Clear                      // tell all that is in it to end, and report Emptied when it has
	KillTree                   // send KILL to all that is in it
	Release                    // supervision has ended
)

// An Action is what is to be done, in the order given.
type Action struct {
	Kind    ActionKind
	Sig     unix.Signal
	Group   bool
	For     time.Duration
	Letter  byte
	Scripts string
	Jitter  bool // Pause: vary For by up to a tenth, so that many services do not move in step
}

// Initial is the state of a service that was just taken up: it is down, or run is being executed.
func Initial(down bool) State {
	if down {
		return State{Want: fsstate.WantDown}
	}
	return State{Phase: Starting, Want: fsstate.WantUp}
}

// Next is the whole behaviour of a service. It is a pure function.
func Next(s State, e Event) (State, []Action) {
	if s.Phase == Gone {
		return s, nil
	}
	switch e.Kind {
	case Letter:
		return onLetter(s, e)
	case Scripted:
		s.Script = false
		e.Scripts = ""
		return onLetter(s, e)
	case Started:
		switch s.Phase {
		case Starting:
			if s.Prelude = e.Prelude; s.Prelude {
				s.Paused, s.Term, s.Broken, s.Ready, s.Prepared = false, false, false, false, false
				return s, []Action{{Kind: Record}}
			}
			s.Prepared, s.Stopped = true, false
			s.Phase, s.Paused, s.Term, s.Broken, s.Ready = Up, false, false, false, false
			return s, []Action{{Kind: Record}}
		case Finishing:
			s.Deaf = false
			return s, deadline([]Action{{Kind: Record}}, e.TimeoutFinish)
		}
	case StartFailed:
		switch {
		case s.Phase == Finishing:
			return finished(s, e, nil)
		case s.Phase == Starting || s.running():
			s.Prelude = false
			s.Broken, s.Ready = true, false
			e.Since, e.Finish, e.Stop = 0, false, false // however long it took to fail, it never lived
			return ended(s, e)
		}
	case Exited:
		switch {
		case s.Phase == Finishing:
			return finished(s, e, nil)
		case s.running() && s.Prelude:
			return prepared(s, e)
		case s.running():
			return ended(s, e)
		}
	case Readied:
		if !s.running() || s.Ready || s.Prelude {
			break
		}
		if s.Ready = true; s.Phase == Up {
			s.Phase = Ready
		}
		return s, []Action{{Kind: Record}}
	case PauseOver:
		if s.Phase == Waiting && !s.Held {
			return start(s, nil)
		}
	case Held:
		if s.Phase == Starting && !s.Prelude {
			if s.Phase, s.Held = Waiting, true; s.Want == fsstate.WantDown { // since start has ended
				s.Phase, s.Held = Down, false
			}
			return s, []Action{{Kind: Record}}
		}
	case AllDone:
		if s.Phase != Starting || s.Prelude {
			break
		}
		s.Broken, s.Ready, s.Stopped = false, false, false
		if s.Want == fsstate.WantDown { // since start was running
			return ended(s, e)
		}
		s.Phase, s.Want = Done, fsstate.WantOnce
		return s, []Action{{Kind: Record}}
	case Unheld:
		if s.Phase == Waiting && s.Held {
			return start(s, nil)
		}
	case Overdue:
		again := Action{Kind: Deadline, For: killAgain}
		switch {
		case s.Phase == Finishing:
			return s, []Action{{Kind: Signal, Sig: unix.SIGCONT}, {Kind: Signal, Sig: unix.SIGKILL}, again}
		case e.Tree && s.Phase == Stopping:
			return s, []Action{{Kind: KillTree}, again}
		case e.Tree && (s.Phase == Down || s.Phase == Clearing):
			return s, []Action{{Kind: KillTree}}
		case s.Phase == Stopping:
			return s, []Action{{Kind: Signal, Sig: unix.SIGKILL, Group: e.KillGroup}, again}
		}
	case Occupied:
		if s.Phase == Starting && !s.Prelude {
			s.Phase = Clearing
			actions := clear([]Action{{Kind: Record}}, e)
			if e.TimeoutKill == 0 {
				actions = append(actions, Action{Kind: KillTree})
			}
			return s, actions
		}
	case Emptied:
		if s.Phase == Clearing {
			return cleared(s)
		}
	case Changed:
		if s.Phase == Waiting && (s.Broken || s.Held) {
			return start(s, nil)
		}
	}
	return s, nil
}

// running tells whether run runs, or start.
func (s State) running() bool {
	return s.Phase == Up || s.Phase == Ready || s.Phase == Stopping || s.Phase == Starting && s.Prelude
}

// busy tells whether letters wait for what is being executed.
func (s State) busy() bool { return s.Phase == Starting && !s.Prelude || s.Deaf || s.Script }

func start(s State, before []Action) (State, []Action) {
	s.Phase, s.Held = Starting, false
	return s, append(before, Action{Kind: Start})
}

func leave(s State) (State, []Action) {
	s.Phase, s.Held, s.Script = Gone, false, false
	return s, []Action{{Kind: Record}, {Kind: Release}}
}

// clear appends what ends all that is left in the cgroup.
func clear(before []Action, e Event) []Action {
	return deadline(append(before, Action{Kind: Clear}), e.TimeoutKill)
}

// deadline appends that there is one, unless after is 0, which means never.
func deadline(before []Action, after time.Duration) []Action {
	if after > 0 {
		return append(before, Action{Kind: Deadline, For: after})
	}
	return before
}

// cleared goes on with what the cgroup had to be empty for.
func cleared(s State) (State, []Action) {
	switch {
	case s.Leave:
		return leave(s)
	case s.Want == fsstate.WantDown:
		s.Phase = Down
		return s, []Action{{Kind: Record}}
	}
	return start(s, nil)
}

// ended decides what follows the end of a process, or the failure to start one. What it has left in its
// cgroup stays, as with the original, unless the end was asked for.
func ended(s State, e Event) (State, []Action) {
	var thaw []Action
	if s.Paused && e.Tree {
		thaw = []Action{{Kind: Thaw}}
	}
	s.Paused, s.Term = false, false
	if s.Want == fsstate.WantUp {
		s.Pace = pace(s.Pace, e)
	}
	if e.Finish || e.Stop && s.Want != fsstate.WantUp && !e.Failed {
		s.Phase, s.Deaf, s.Stopped = Finishing, true, true
		return s, append(thaw, Action{Kind: Finish}) // what is recorded is the pid of finish
	}
	if s.Phase == Stopping {
		e.TimeoutKill = 0 // the time that the letter d has set counts for what is left, too
	}
	return finished(s, e, thaw)
}

// prepared decides what follows the end of start. Whether the service is still wanted does not count.
func prepared(s State, e Event) (State, []Action) {
	s.Prelude, s.Term = false, false
	var thaw []Action
	if s.Paused && e.Tree {
		thaw = []Action{{Kind: Thaw}}
	}
	if s.Leave || e.Failed {
		return finished(s, e, thaw)
	}
	s.Paused, s.Prepared = false, true
	return start(s, append([]Action{{Kind: Record}}, thaw...))
}

// finished decides what follows when nothing of a run runs any more, but for what it has left behind.
func finished(s State, e Event, thaw []Action) (State, []Action) {
	record := append([]Action{{Kind: Record}}, thaw...)
	s.Deaf, s.Paused = false, false
	switch {
	case s.Leave && e.Tree:
		s.Phase = Clearing
		return s, clear(record, e)
	case s.Leave:
		return leave(s)
	case e.Failed:
		s.Phase, s.Want, s.Stopped = Failed, fsstate.WantDown, true
		return s, record
	case s.Want != fsstate.WantUp:
		s.Phase = Down
		if s.Want == fsstate.WantDown && e.Tree {
			return s, clear(record, e)
		}
		return s, record
	}
	s.Pace = min(s.Pace, e.Backoff)
	if least, rested := max(young, s.Pace), s.rested(e); rested < least {
		s.Phase = Waiting
		return s, append(record, Action{Kind: Pause, For: least - rested, Jitter: s.Pace > 0})
	}
	return start(s, thaw) // what is recorded is the new process
}

// rested is how much of the least time between two starts is over. It begins with the start. With s6 it begins
// when run could be started again, unless it had been ready: then when it was.
func (s State) rested(e Event) time.Duration {
	switch {
	case e.Dialect != fsstate.S6:
		return e.Since
	case s.Ready:
		return e.Ready
	}
	return 0
}

// pace is the least time between starts after a process that lived for e.Since: without a backoff file
// none is set; with one it doubles from a second to the file's value, and a life longer than that
// forgives.
func pace(last time.Duration, e Event) time.Duration {
	switch {
	case e.Backoff == 0 || e.Since > e.Backoff:
		return 0
	case last == 0:
		return min(young, e.Backoff)
	case e.Since < last:
		return min(2*last, e.Backoff)
	}
	return min(last, e.Backoff)
}

// onLetter follows daemontools' supervise; the letters that it does not have follow
// daemontools-encore, runit and, in its own directories, s6.
func onLetter(s State, e Event) (State, []Action) {
	if s.busy() {
		// The original forks and goes on with the pid at hand; we do not have it yet. Letters keep their
		// order, and each finds the state that the ones before it have left.
		return s, []Action{{Kind: Defer}}
	}
	if names := asks(e.Letter, e.Scripts); names != "" && s.running() {
		s.Script = true
		return s, []Action{{Kind: Script, Letter: e.Letter, Scripts: names, Group: e.Group}}
	}
	if e.Dialect == fsstate.S6 {
		switch e.Letter {
		case 'P', 'C', 'K':
			e.Letter, e.Group = e.Letter|' ', true
		}
	}
	if s.Phase == Finishing {
		return whileFinishing(s, e)
	}
	if e.Letter == 'x' && e.Dialect == fsstate.Runit && s.running() { // runsv stops what it leaves
		s.Leave, e.Letter = true, 'd'
	}
	record := Action{Kind: Record}
	switch e.Letter {
	case 'u':
		s.Prepared = s.Prepared && s.Want != fsstate.WantDown
		s.Want = fsstate.WantUp
		return wanted(s, e)
	case 'o':
		s.Want = fsstate.WantOnce
		return wanted(s, e)
	case 'd':
		s.Want = fsstate.WantDown
		switch {
		case s.running():
			var actions []Action
			if !e.Instead {
				s.Term = true
				actions = append(actions, signal(e.downSignal(), e))
			}
			if s.Paused && e.Tree {
				actions = append(actions, Action{Kind: Thaw})
			}
			actions = append(actions, signal(unix.SIGCONT, e), record)
			s.Phase, s.Paused = Stopping, false
			return s, deadline(actions, e.TimeoutKill)
		case e.Stop && !s.Stopped && (s.Phase == Waiting || s.Phase == Down || s.Phase == Done):
			s.Phase, s.Held, s.Deaf, s.Stopped = Finishing, false, true, true
			return s, []Action{record, {Kind: Finish}}
		case s.Phase == Waiting, s.Phase == Failed, s.Phase == Done:
			s.Phase, s.Held = Down, false
			if e.Tree {
				return s, clear([]Action{record}, e)
			}
		}
		return s, []Action{record}
	case 'O':
		if e.Dialect != fsstate.S6 {
			return s, nil
		}
		s.Want = fsstate.WantDown
		if s.Phase == Waiting || s.Phase == Failed {
			s.Phase, s.Held = Down, false
		}
		return s, []Action{record}
	case 'x':
		s.Leave = true
		switch {
		case s.running(), s.Phase == Clearing:
			return s, []Action{record}
		case e.Tree:
			s.Phase, s.Held = Clearing, false
			return s, clear([]Action{record}, e)
		}
		return leave(s)
	case 'p', 'c':
		s.Paused = e.Letter == 'p'
		actions := []Action{record}
		if s.running() && !e.Instead {
			actions = append(actions, signal(e.signal(), e))
			switch {
			case e.Tree && s.Paused:
				actions = append(actions, Action{Kind: Freeze})
			case e.Tree:
				actions = append(actions, Action{Kind: Thaw})
			}
		}
		return s, actions
	case 'k':
		if s.Phase == Clearing {
			return s, []Action{{Kind: KillTree}}
		}
	}
	sig := e.signal()
	if sig == 0 || !s.running() || e.Instead {
		return s, nil
	}
	actions := []Action{signal(sig, e)}
	if sig == unix.SIGTERM {
		s.Term = true
		actions = append(actions, record)
	}
	return s, actions
}

// whileFinishing is what letters mean while finish or stop runs: they decide what follows. Signals go to encore's
// stop, but for TERM; s6 and runit send none to finish, which with runit may run for ever, so KILL ends it here.
func whileFinishing(s State, e Event) (State, []Action) {
	record := []Action{{Kind: Record}}
	switch e.Letter {
	case 'u':
		s.Prepared = s.Prepared && s.Want != fsstate.WantDown
		s.Want = fsstate.WantUp
	case 'o':
		s.Want = fsstate.WantOnce
	case 'd':
		s.Want = fsstate.WantDown
	case 'O':
		if e.Dialect != fsstate.S6 {
			return s, nil
		}
		s.Want = fsstate.WantDown
	case 'x':
		s.Leave = true
	case 't':
		return s, nil
	default:
		sig := e.signal()
		if e.Dialect == fsstate.S6 || e.Dialect == fsstate.Runit && e.Letter != 'k' || sig == 0 {
			return s, nil
		}
		if e.Letter != 'p' && e.Letter != 'c' {
			return s, []Action{signal(sig, e)}
		}
		s.Paused = e.Letter == 'p'
		return s, append(record, signal(sig, e))
	}
	return s, record
}

// wanted is what u and o have in common.
func wanted(s State, e Event) (State, []Action) {
	record := []Action{{Kind: Record}}
	switch {
	case s.Phase == Down, s.Phase == Failed:
		return start(s, record)
	case s.Phase == Done:
		s.Want = fsstate.WantOnce
	case s.Phase == Waiting && s.Held:
	case s.Phase == Waiting && (s.Broken || e.Dialect == fsstate.S6):
		// A person has mended it, or wants to see it fail: an o is used up by one attempt.
		return start(s, record)
	case s.Phase == Waiting && s.Pace > young:
		// A person has looked at it: back to one start a second.
		s.Pace = 0
		return s, append(record, Action{Kind: Pause, For: max(0, young-e.Since)})
	}
	return s, record
}

func signal(sig unix.Signal, e Event) Action {
	return Action{Kind: Signal, Sig: sig, Group: e.Group}
}

// downSignal is what tells run to end.
func (e Event) downSignal() unix.Signal {
	if e.DownSignal != 0 {
		return e.DownSignal
	}
	return unix.SIGTERM
}

// signal is what the Event's letter sends, or 0.
func (e Event) signal() unix.Signal {
	switch {
	case e.Letter == 'l':
		return e.ReloadSignal
	case e.Dialect != fsstate.S6:
	case e.Letter == 'r':
		return e.downSignal()
	case e.Letter == 'b':
		return unix.SIGABRT
	case e.Letter == 'y':
		return unix.SIGWINCH
	}
	return letterSignal(e.Letter)
}

// letterSignal is the signal that a letter stands for everywhere, or 0.
func letterSignal(letter byte) unix.Signal {
	switch letter {
	case 'a':
		return unix.SIGALRM
	case 'c':
		return unix.SIGCONT
	case 'h':
		return unix.SIGHUP
	case 'i':
		return unix.SIGINT
	case 'k':
		return unix.SIGKILL
	case 'p':
		return unix.SIGSTOP
	case 'q':
		return unix.SIGQUIT
	case 't':
		return unix.SIGTERM
	case 'w':
		return unix.SIGWINCH
	case '1':
		return unix.SIGUSR1
	case '2':
		return unix.SIGUSR2
	}
	return 0
}
