package reaper

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// crowd is from how many children on a fork is left to the forker.
const crowd = 256

// A forker forks from a thread that has a table of descriptors of its own, with few in it. The kernel
// copies the table for each child and closes its descriptors one by one before the program runs: with
// the three of each of a thousand services that would take longer than everything else.
//
// The thread belongs to one goroutine for good. (The runtime starts no thread from one that is locked,
// so the table stays the forker's.) It serves starts in great number; a restart is forked by who has waited
// for the death, on a thread like this one (lean.go).
type forker struct {
	requests chan forkRequest
	results  chan forkResult
}

type forkRequest struct {
	path   string
	args   []string
	attr   *syscall.ProcAttr
	cgroup string
}

type forkResult struct {
	pid int
	err error
}

// Prepare makes starting many processes fast. It is called once, before the process opens what it will
// have many of; what is open then stays open in the forker. Without it, or where the kernel refuses,
// everything works, if more slowly.
func (r *Reaper) Prepare() {
	first, err := settle()
	if err != nil {
		return
	}
	r.lasting = first
	f := &forker{requests: make(chan forkRequest), results: make(chan forkResult)}
	ready := make(chan error)
	aside(func() { f.run(ready) })
	if <-ready == nil {
		r.forker = f
	}
}

// run ends with the process.
func (f *forker) run(ready chan<- error) {
	err := unix.Unshare(unix.CLONE_FILES)
	ready <- err
	if err != nil {
		return
	}
	for q := range f.requests {
		pid, err := forkExec(q.path, q.args, q.attr, q.cgroup)
		f.results <- forkResult{pid, err}
	}
}

// fork leaves the fork to the forker where that pays and can be done: it has no descriptors but the first
// three, and is not waited for while it is busy. A thread that has few descriptors itself forks itself.
func (r *Reaper) fork(path string, args []string, attr *syscall.ProcAttr, cgroup string) (int, error) {
	if r.forker == nil || !r.crowded() || !standard(attr.Files) || r.lean.Load() == int64(unix.Gettid()) {
		return forkExec(path, args, attr, cgroup)
	}
	select {
	case r.forker.requests <- forkRequest{path, args, attr, cgroup}:
		result := <-r.forker.results
		return result.pid, result.err
	default:
		return forkExec(path, args, attr, cgroup)
	}
}

func (r *Reaper) crowded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.children) >= crowd
}

func standard(files []uintptr) bool {
	for _, fd := range files {
		if fd > 2 {
			return false
		}
	}
	return true
}
