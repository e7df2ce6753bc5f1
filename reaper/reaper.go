// Package reaper starts processes and is the only place that waits for them.
//
// What holds:
//   - A child is registered before it can be reaped, or its status is kept until it is registered: no
//     end is ever lost, and none is delivered before the start.
//   - A pid is signalled only while the child is unreaped, so it cannot be anybody else's.
//   - A dead process that nobody registered is an orphan: it is reaped and counted.
//   - Nothing here takes SIGCHLD for more than a hint. Every sweep goes on until the kernel has no
//     more dead children.
package reaper

import (
	"sync"

	"golang.org/x/sys/unix"
)

// An Exit is the end of one process.
type Exit struct {
	Pid    int
	Status unix.WaitStatus
	Usage  unix.Rusage
	// Launch is why the program could not be executed, when it was started by way of the trampoline;
	// otherwise Start itself has returned the error.
	Launch error
	// Unknown says that nobody can tell how the process has ended: it was somebody else's child.
	Unknown bool
}

// An Owner is told of its process, Started strictly before Exited. Both may be called with the reaper's
// lock held: they may queue a message and nothing else.
type Owner interface {
	Started(pid int)
	Exited(Exit)
}

// A Reaper is the parent of every process that it starts, and guards those that it takes over. The zero value is ready.
type Reaper struct {
	// Post, unless nil, has a function called later, on a thread that has the descriptors of all. The end of a
	// process that was started by way of the trampoline is told there, since its report is read first.
	Post func(func())

	lasting int   // descriptors from here on are opened after Prepare; 0 without it
	foreign []int // those before that which are none of those threads' that fork
	probe   sync.Once
	bears   bool // children can be born in a cgroup; known after probe

	mu       sync.Mutex
	children map[int]*child
	// forks counts the calls of Start that are between fork and registration, and forking is a tick before the first
	// of them; keeps counts those of Keep. While there is one of either, the end of an unknown process may be the
	// end of its child, and waits in early.
	forks   int
	forking uint64
	keeps   int
	early   map[int]Exit
	orphans uint64
}

type child struct {
	owner  Owner
	report *launchReport // nil when the program was executed directly
	pidfd  int           // of a process that is not our child, or -1
}

// Orphans tells how many processes that nobody had registered were reaped.
func (r *Reaper) Orphans() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.orphans
}

// Signal sends sig to the child, or to its process group, and tells whether the child was there. A
// child that is dead but not reaped counts as there, as it does for kill(2).
func (r *Reaper) Signal(pid int, sig unix.Signal, group bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.children[pid]
	return c != nil && c.signal(pid, sig, group) == nil
}

// Sweep reaps every dead child. It tells whether children are left, dead or alive.
func (r *Reaper) Sweep() (left bool) {
	for {
		pid, left := peek()
		if pid == 0 {
			return left
		}
		r.Reap(pid)
	}
}

// peek finds a dead child and leaves it dead, so that its pid stays taken.
func peek() (pid int, left bool) {
	var info siginfo
	for {
		err := unix.Waitid(unix.P_ALL, 0, info.pointer(), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		return info.pid(), err == nil
	}
}

// Reap reaps one dead child.
func (r *Reaper) Reap(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := Exit{Pid: pid}
	got, err := unix.Wait4(pid, &e.Status, unix.WNOHANG, &e.Usage)
	for err == unix.EINTR {
		got, err = unix.Wait4(pid, &e.Status, unix.WNOHANG, &e.Usage)
	}
	if err != nil || got != pid {
		return // a fork whose exec failed reaps its own child; it was first
	}
	c := r.children[pid]
	switch {
	case c != nil:
		delete(r.children, pid)
		r.exited(c, e)
	case r.forks+r.keeps > 0:
		if r.early == nil {
			r.early = make(map[int]Exit)
		}
		r.early[pid] = e
	default:
		r.orphans++
	}
}

func (r *Reaper) exited(c *child, e Exit) {
	switch {
	case c.report == nil:
		c.owner.Exited(e)
	case r.Post == nil:
		c.exited(e)
	default:
		r.Post(func() { c.exited(e) })
	}
}

func (c *child) exited(e Exit) {
	e.Launch = c.report.take()
	c.owner.Exited(e)
}

// begin and end bracket a fork.
func (r *Reaper) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forks++; r.forks == 1 {
		r.forking = Tick()
	}
}

// end registers the child that the fork made, or none when pid is 0.
func (r *Reaper) end(pid int, c *child) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forks--
	if pid != 0 {
		c.owner.Started(pid)
		if e, dead := r.early[pid]; dead {
			delete(r.early, pid)
			r.exited(c, e)
		} else {
			r.register(pid, c)
		}
	}
	r.tidy()
}

func (r *Reaper) register(pid int, c *child) {
	if r.children == nil {
		r.children = make(map[int]*child)
	}
	r.children[pid] = c
}

// tidy counts the orphans whose ends nobody has waited for. The lock is held.
func (r *Reaper) tidy() {
	if r.forks+r.keeps == 0 {
		r.orphans += uint64(len(r.early))
		clear(r.early)
	}
}

// Keep keeps the ends of unknown children for TakeOver, until the returned function is called.
func (r *Reaper) Keep() (done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keeps++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.keeps--
		r.tidy()
	}
}
