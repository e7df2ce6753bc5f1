package supervisor

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/cgroup"
	"upkeep/fsstate"
	"upkeep/logpipe"
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
