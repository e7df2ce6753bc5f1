package supervisor

import (
	"time"

	"upkeep/fsstate"
	"upkeep/reaper"
)

// A Host is what the Supervisors of one process share. All their methods and everything given to Post
// run on one goroutine, the Host's.
type Host struct {
	Post func(func()) // queues a function for the Host's goroutine; never blocks
	// PostLater is Post for a step of a Lane: the Pool wakes the Host's goroutine when it is worth it.
	PostLater func(func())
	// PostEnd is PostLater for the end of a process. short does the same, if it returns true, and uses no
	// descriptor: it may be called in place of f by a goroutine that has others.
	PostEnd  func(short func() bool, f func())
	Reaper   *reaper.Reaper
	Pool     *Pool
	Controls *Controls
	Warn     func(who, format string, args ...any) // one line for the administrator; never blocks
	// StartError is the line that daemontools' supervise prints when it cannot execute run.
	StartError func(dir string, err error)
	World      string // in which the pids are those that an earlier upkeep has recorded; "" where nothing can be resumed
	Crashed    bool   // an earlier upkeep has ended in this world, and not as it should
	Census     *reaper.Census
	// Held gives what holds a supervise directory that was handed on to this process; nil where nothing was.
	Held func(fsstate.ID) (fsstate.Held, bool)
	// Socket gives the socket, that was handed on likewise, to which the service of a supervise directory says that
	// it is ready; nil where nothing was.
	Socket func(fsstate.ID) (fd int, ok bool)
	// Panicked says that what is done for one service has panicked, and that it is taken up anew. Where it is
	// nil the panic goes on.
	Panicked   func(who string, p any, stack []byte)
	Env        []string
	Format     fsstate.Format // of the status files
	NeedGroups bool           // run is not to be executed outside its cgroup
	NoGroups   error          // why there are no cgroups, where there should be: none with a limit is executed
	Stderr     int            // of every process

	watches watches
}

// After calls f on the Host's goroutine when d is over.
func (h *Host) After(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() { h.Post(f) })
}
