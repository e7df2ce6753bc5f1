package daemon

import (
	"time"

	"golang.org/x/sys/unix"
)

// openConsole gives the machine's console to those of the three standard descriptors that have come to
// nothing. The kernel opens /dev/console for its init where it can. For what is closed the Go runtime
// opens /dev/null, to read and to write, before main is called; and nobody else opens it like that.
func openConsole() {
	console := -1
	for fd := unix.Stdin; fd <= unix.Stderr; fd++ {
		if !isFiller(fd) {
			continue
		}
		if console < 0 {
			var err error
			// Not as the controlling terminal: its ^C would restart the machine.
			if console, err = unix.Open("/dev/console", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
				return // messages go nowhere, and all else works
			}
			defer unix.Close(console)
		}
		unix.Dup3(console, fd, 0)
	}
}

func isFiller(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return true
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE == unix.O_RDWR && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3)
}

// drainConsole waits until a serial console has sent what was written, but only for so long.
func drainConsole(patience time.Duration) {
	done := make(chan struct{})
	go func() {
		unix.IoctlSetInt(unix.Stderr, unix.TCSBRK, 1)
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
	}
}
