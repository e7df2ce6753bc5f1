package reaper

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Deafen keeps signals away from the calling goroutine's thread, until the returned function is called.
//
// The kernel gives a signal that is for the whole process to one thread of its choice, the death of a
// child to the one that forked it, and does not look whether that one is in a system call that never
// ends. The signal then waits with it, and nobody hears of the death. A thread that blocks the signal is
// not chosen.
func Deafen() (restore func()) {
	runtime.LockOSThread()
	var old unix.Sigset_t
	all := processSignals()
	if unix.PthreadSigmask(unix.SIG_BLOCK, &all, &old) != nil {
		return runtime.UnlockOSThread
	}
	return func() {
		unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
		runtime.UnlockOSThread()
	}
}

// processSignals are all but those that a thread's own faults raise and those that the runtime sends to
// its own threads.
func processSignals() (set unix.Sigset_t) {
	for i := range set.Val {
		set.Val[i]--
	}
	const bits = 64
	for _, s := range []unix.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSYS,
		unix.SIGABRT, unix.SIGURG, unix.SIGPROF} {
		set.Val[(s-1)/bits] &^= 1 << ((s - 1) % bits)
	}
	return set
}

// BlockSignals keeps signals away from the calling thread for good, and from the program that it executes
// until that listens to them: what comes in between waits. But the start of a Go program lets in those that end a
// process by default, whatever its mask, and would die of them. So they are ignored until it listens. The returned
// function ends that, if nothing was executed.
func BlockSignals() (restore func()) {
	set := processSignals()
	unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
	signals := [...]unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM}
	var caught [len(signals)]action
	for i, s := range signals {
		caught[i].get(s)
		(&action{handler: ignored}).set(s)
	}
	return func() {
		for i, s := range signals {
			caught[i].set(s)
		}
	}
}

const ignored = 1 // SIG_IGN
