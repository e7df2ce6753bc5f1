package reaper

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// aside runs f on a goroutine that has a thread of its own until it ends, and hears no signals. It is not
// the first thread, whose descriptors are what /proc/self shows to all of them.
func aside(f func()) {
	go func() {
		restore := Deafen()
		if unix.Gettid() != unix.Getpid() {
			f()
			return // the thread ends too
		}
		begun := make(chan struct{})
		aside(func() { close(begun); f() })
		<-begun
		restore()
	}()
}

// settle has the runtime open the descriptors that it uses from every thread, before there is one that would
// not have them, and returns the first descriptor that is free then.
func settle() (int, error) {
	time.AfterFunc(time.Hour, func() {}).Stop()
	fd, err := unix.FcntlInt(uintptr(unix.Stderr), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		unix.Close(fd)
	}
	return fd, err
}

// Prepare makes starting many processes fast. It is called once, before the process opens what it will
// have many of; what is open then stays open to the threads of Aside and of a Hand, but for what is foreign to
// them: what an earlier program in this process has left open. Without it, or where the kernel refuses, everything
// works, if more slowly.
func (r *Reaper) Prepare(foreign []int) {
	if first, err := settle(); err == nil {
		r.lasting, r.foreign = first, foreign
	}
}

// Aside runs f like a goroutine, on a thread of its own that may fork faster than others: it has a table of
// descriptors of its own, with none of those that were opened since Prepare. The kernel copies the table
// for each child and closes its descriptors one by one before the program runs; with the three of each of a
// thousand services that takes longer than everything else. f is told whether that is so. What it opens is then
// its own, and what others have opened it can reach by a path only.
//
// (The runtime starts no thread from one that is locked, so the table stays this thread's.)
func (r *Reaper) Aside(f func(lean bool)) {
	aside(func() {
		listen() // to SIGCHLD
		f(r.unshare())
	})
}

// unshare gives the calling thread a table of descriptors of its own, with few in it.
func (r *Reaper) unshare() bool {
	if r.lasting == 0 || unix.CloseRange(uint(r.lasting), math.MaxInt32, unix.CLOSE_RANGE_UNSHARE) != nil {
		return false
	}
	for _, fd := range r.foreign {
		if fd > unix.Stderr && fd < r.lasting {
			unix.Close(fd)
		}
	}
	return true
}

// A Hand does one thing after another on a thread of Aside's, until End. A nil one does nothing.
type Hand struct{ work chan func() }

// Hand returns a new one, or nil where it would not fork faster than any other thread.
func (r *Reaper) Hand() *Hand {
	h := &Hand{make(chan func(), 1)}
	lean := make(chan bool)
	r.Aside(func(isLean bool) {
		lean <- isLean
		if isLean {
			for f := range h.work {
				f()
			}
		}
	})
	if !<-lean {
		return nil
	}
	return h
}

// Take hands f over, to be run when what was taken before is done. It returns false, and f is not run, if
// something else waits for that already.
func (h *Hand) Take(f func()) bool {
	if h == nil {
		return false
	}
	select {
	case h.work <- f:
		return true
	default:
		return false
	}
}

// End ends the thread when what was taken is done. Nothing is handed over any more.
func (h *Hand) End() { close(h.work) }

// listen unblocks SIGCHLD on the calling thread. While it has its default action the kernel then drops it
// for this thread's children; blocked, it would go to another thread, and wake that.
func listen() {
	var set unix.Sigset_t
	set.Val[0] = 1 << (unix.SIGCHLD - 1)
	unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil)
}
