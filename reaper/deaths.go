package reaper

import (
	"os"
	"os/signal"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Deaths waits for children to die. While there is a child it waits in the kernel, which wakes nobody
// else; SIGCHLD is for when there is none: an orphan may come to PID 1 at any time.
type Deaths struct {
	signals chan os.Signal
	caught  action // the runtime's handler
}

// WatchDeaths takes over SIGCHLD.
func WatchDeaths() *Deaths {
	d := &Deaths{signals: make(chan os.Signal, 1)}
	signal.Notify(d.signals, unix.SIGCHLD)
	d.caught.get(unix.SIGCHLD)
	return d
}

// Await returns when there is a dead child, with its pid, or may be one, with 0. One goroutine at a time calls it.
func (d *Deaths) Await() (pid int) {
	DefaultAction(unix.SIGCHLD)
	var info siginfo
	for {
		switch err := unix.Waitid(unix.P_ALL, 0, info.pointer(), unix.WEXITED|unix.WNOWAIT, nil); err {
		case nil:
			return info.pid()
		case unix.EINTR:
			continue
		}
		d.caught.set(unix.SIGCHLD)
		if _, left := peek(); !left {
			<-d.signals
			return 0
		}
		DefaultAction(unix.SIGCHLD)
	}
}

// An action is the kernel's struct sigaction.
type action struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

func (a *action) get(s unix.Signal) { sigaction(s, nil, a) }
func (a *action) set(s unix.Signal) { sigaction(s, a, nil) }

func sigaction(s unix.Signal, set, get *action) {
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(get)), unsafe.Sizeof(action{}.mask), 0, 0)
}

// DefaultAction gives a signal its default action, whatever we were started with.
func DefaultAction(s unix.Signal) { new(action).set(s) }
