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

// Aside runs f like a goroutine, on a thread of its own that may fork faster than others: it has a table of
// descriptors of its own, with none of those that were opened since Prepare, and the kernel has nothing to
// copy for a child and close again. f is told whether that is so. What it opens is then its own, and what
// others have opened it can reach by a path only.
func (r *Reaper) Aside(f func(lean bool)) {
	aside(func() {
		listen() // to SIGCHLD
		lean := r.lasting > 0 && unix.CloseRange(uint(r.lasting), math.MaxInt32, unix.CLOSE_RANGE_UNSHARE) == nil
		if lean {
			r.lean.Store(int64(unix.Gettid()))
		}
		f(lean)
	})
}

// listen unblocks SIGCHLD on the calling thread. While it has its default action the kernel then drops it
// for this thread's children; blocked, it would go to another thread, and wake that.
func listen() {
	var set unix.Sigset_t
	set.Val[0] = 1 << (unix.SIGCHLD - 1)
	unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil)
}
