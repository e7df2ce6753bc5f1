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
	Down     Phase = iota // not running, and not about to
	Starting              // run is being executed; its pid is not known yet
	Up                    // run runs
	Stopping              // run was told to end by the letter d, and still runs
	Waiting               // not running, and started when the pause is over
	Clearing              // not running, and what it left in its cgroup is to end before anything else
	Gone                  // no longer supervised
	phases
)

var phaseNames = [phases]string{"down", "starting", "up", "stopping", "waiting", "clearing", "gone"}

func (p Phase) String() string { return phaseNames[p] }

// young is how long a service must live to be started again at once. It is also the shortest time
// between two starts that no letter asked for.
const young = time.Second

// A State is all that decides what follows an Event.
type State struct {
	Phase  Phase
	Want   fsstate.Want
	Leave  bool // x: supervision ends with the process
	Paused bool // p: as the last p or c had it
	Term   bool // the process was sent TERM and has not ended
	Broken bool // the last attempt to start failed
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
	eventKinds
)

// An Event is what happens, with what the machine cannot know by itself.
type Event struct {
	Kind   EventKind
	Letter byte
	Group  bool          // Letter: its signals go to the process group
	Since  time.Duration // since the last start, or attempt
	Tree   bool          // the service has a cgroup, so that what it leaves behind can be ended
	// Backoff and TimeoutKill are the Definition's.
	Backoff     time.Duration
	TimeoutKill time.Duration
}

// An ActionKind names what the machine can ask for.
type ActionKind uint8

const (
	Record   ActionKind = iota // write the status
	Start                      // execute run
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
	Kind   ActionKind
	Sig    unix.Signal
	Group  bool
	For    time.Duration
	Jitter bool // Pause: vary For by up to a tenth, so that many services do not move in step
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
	case Started:
		if s.Phase == Starting {
			s.Phase, s.Paused, s.Term, s.Broken = Up, false, false, false
			return s, []Action{{Kind: Record}}
		}
	case StartFailed:
		if s.Phase == Starting || s.running() {
			s.Broken = true
			e.Since = 0 // however long it took to fail, it never lived
			return ended(s, e)
		}
	case Exited:
		if s.running() {
			return ended(s, e)
		}
	case PauseOver:
		if s.Phase == Waiting {
			return start(s, nil)
		}
	case Overdue:
		switch {
		case e.Tree && (s.Phase == Stopping || s.Phase == Down || s.Phase == Clearing):
			return s, []Action{{Kind: KillTree}}
		case s.Phase == Stopping:
			return s, []Action{{Kind: Signal, Sig: unix.SIGKILL}}
		}
	case Occupied:
		if s.Phase == Starting {
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
		if s.Phase == Waiting && s.Broken {
			return start(s, nil)
		}
	}
	return s, nil
}

func (s State) running() bool { return s.Phase == Up || s.Phase == Stopping }

func start(s State, before []Action) (State, []Action) {
	s.Phase = Starting
	return s, append(before, Action{Kind: Start})
}

func leave(s State) (State, []Action) {
	s.Phase = Gone
	return s, []Action{{Kind: Record}, {Kind: Release}}
}

// clear appends what ends all that is left in the cgroup.
func clear(before []Action, e Event) []Action {
	actions := append(before, Action{Kind: Clear})
	if e.TimeoutKill > 0 {
		actions = append(actions, Action{Kind: Deadline, For: e.TimeoutKill})
	}
	return actions
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
	record := append([]Action{{Kind: Record}}, thaw...)
	if s.Phase == Stopping {
		e.TimeoutKill = 0 // the time that the letter d has set counts for what is left, too
	}
	s.Paused, s.Term = false, false
	switch {
	case s.Leave && e.Tree:
		s.Phase = Clearing
		return s, clear(record, e)
	case s.Leave:
		return leave(s)
	case s.Want != fsstate.WantUp:
		s.Phase = Down
		if s.Want == fsstate.WantDown && e.Tree {
			return s, clear(record, e)
		}
		return s, record
	}
	s.Pace = pace(s.Pace, e)
	if least := max(young, s.Pace); e.Since < least {
		s.Phase = Waiting
		return s, append(record, Action{Kind: Pause, For: least - e.Since, Jitter: s.Pace > 0})
	}
	return start(s, thaw) // what is recorded is the new process
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
// daemontools-encore and runit.
func onLetter(s State, e Event) (State, []Action) {
	if s.Phase == Starting {
		// The original forks and goes on with the pid at hand; we do not have it yet. Letters keep their
		// order, and each finds the state that the ones before it have left.
		return s, []Action{{Kind: Defer}}
	}
	record := Action{Kind: Record}
	switch e.Letter {
	case 'u':
		s.Want = fsstate.WantUp
		return wanted(s, e)
	case 'o':
		s.Want = fsstate.WantOnce
		return wanted(s, e)
	case 'd':
		s.Want = fsstate.WantDown
		switch {
		case s.running():
			actions := []Action{signal(unix.SIGTERM, e)}
			if s.Paused && e.Tree {
				actions = append(actions, Action{Kind: Thaw})
			}
			actions = append(actions, signal(unix.SIGCONT, e), record)
			s.Phase, s.Term, s.Paused = Stopping, true, false
			if e.TimeoutKill > 0 {
				actions = append(actions, Action{Kind: Deadline, For: e.TimeoutKill})
			}
			return s, actions
		case s.Phase == Waiting:
			s.Phase = Down
			if e.Tree {
				return s, clear([]Action{record}, e)
			}
		}
		return s, []Action{record}
	case 'x':
		s.Leave = true
		switch {
		case s.running(), s.Phase == Clearing:
			return s, []Action{record}
		case e.Tree:
			s.Phase = Clearing
			return s, clear([]Action{record}, e)
		}
		return leave(s)
	case 'p', 'c':
		s.Paused = e.Letter == 'p'
		actions := []Action{record}
		if s.running() {
			actions = append(actions, signal(letterSignal(e.Letter), e))
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
	sig := letterSignal(e.Letter)
	if sig == 0 || !s.running() {
		return s, nil
	}
	actions := []Action{signal(sig, e)}
	if sig == unix.SIGTERM {
		s.Term = true
		actions = append(actions, record)
	}
	return s, actions
}

// wanted is what u and o have in common.
func wanted(s State, e Event) (State, []Action) {
	record := []Action{{Kind: Record}}
	switch {
	case s.Phase == Down:
		return start(s, record)
	case s.Phase == Waiting && s.Broken:
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

// letterSignal is the signal that a letter stands for, or 0.
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
