package daemon

import (
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"upkeep/cgroup"
	"upkeep/reaper"
)

// readyThreads is how many threads the runtime is given before they can be missing: one that it needs
// and cannot have is a fatal error that nothing can catch, and a fork bomb in a service is enough.
const readyThreads = 16

// fewThreads is how many it gets at least where processes are scarce. That many it needs when everything that
// can keep one does.
const fewThreads = 8

// leastProcs is how many goroutines can run at once at least, however few processors there are: one that
// is between clone and exec keeps its place while it waits for the child.
const leastProcs = starters + 1

// memoryGoal is a brake, not a limit: above it the collector works harder.
const memoryGoal = 32 << 20

// garbageShare is how much garbage there may be, in percent of what is in use. What stays of the start of a
// thousand services is scattered over as many pages as that start has used, garbage and all.
const garbageShare = 50

// harden prepares the process for what would otherwise end it or hold it up. The error says that there is no
// room for it to run.
func harden() error {
	threads := readyThreads
	if room, limited := cgroup.Room(); limited {
		if room <= fewThreads {
			return fmt.Errorf("cannot start: pids.max leaves room for %d more processes and threads, and upkeep itself takes %d", room, fewThreads)
		}
		threads = min(readyThreads, max(fewThreads, room/2))
	}
	keepDescriptors()
	debug.SetMemoryLimit(memoryGoal)
	debug.SetGCPercent(garbageShare)
	// Set once, it is not looked up again and again while services die and start.
	runtime.GOMAXPROCS(max(leastProcs, runtime.GOMAXPROCS(0)))
	var meet, part sync.WaitGroup
	meet.Add(threads)
	part.Add(1)
	for range threads {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			meet.Done()
			part.Wait()
		}()
	}
	meet.Wait()
	part.Done()
	return nil
}

// keepDescriptors keeps what was left open for us, other than the standard three, from every service.
func keepDescriptors() {
	if unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	open, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range open {
		if n, err := strconv.Atoi(fd.Name()); err == nil && n > 2 {
			unix.CloseOnExec(n)
		}
	}
}

// catchSignals delivers every signal that has a meaning for somebody. A caught signal is at its default
// in children, while one that we were started with ignored would stay ignored in them; and a process
// that is PID 1 gets no signal that it does not catch. SIGURG is the runtime's own.
func catchSignals() (all chan os.Signal, deaths *reaper.Deaths) {
	all = make(chan os.Signal, 64)
	// First those that end a Go program that does not catch them, before it listens.
	signal.Notify(all, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	for n := unix.Signal(32); n <= 34; n++ { // the C library's: the runtime does not touch them
		reaper.DefaultAction(n)
	}
	deaths = reaper.WatchDeaths()
	for n := unix.Signal(1); n <= 64; n++ {
		switch n {
		case unix.SIGCHLD, unix.SIGURG, unix.SIGKILL, unix.SIGSTOP, unix.SIGPROF, unix.SIGVTALRM,
			unix.SIGTTIN, unix.SIGTTOU, // caught, a write to a terminal in the background would never end
			unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGABRT, unix.SIGTRAP, unix.SIGSYS,
			32, 33, 34:
		default:
			signal.Notify(all, n)
		}
	}
	return all, deaths
}
