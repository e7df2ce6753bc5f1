package applet

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// setlock runs a program that holds a lock: the descriptor of the locked file stays open in it, and the lock
// lasts until it and all that inherit the descriptor have ended.
func setlock(c *call) int {
	plainSignals()
	const usage = "setlock: usage: setlock [ -nNxX ] file program [ arg ... ]"
	g := &getopt{prog: c.argv0, letters: "nNxX", args: c.args, stderr: c.stderr}
	how, quiet := syscall.LOCK_EX, false
	for {
		letter, _, ok := g.next()
		if !ok {
			break
		}
		switch letter {
		case 'n':
			how = syscall.LOCK_EX | syscall.LOCK_NB
		case 'N':
			how = syscall.LOCK_EX
		case 'x':
			quiet = true
		case 'X':
			quiet = false
		default:
			return c.usage(usage)
		}
	}
	if len(g.args) < 2 {
		return c.usage(usage)
	}
	file := g.args[0]
	if text, err := lockForChild(file, how); err != nil {
		if quiet {
			return exitOK
		}
		return c.fatal("setlock", text+file, err)
	}
	return c.chain("setlock", g.args[1:], environ())
}

// lockForChild opens and locks a file and leaves it to the program we become. It returns a text about what
// failed.
func lockForChild(file string, how int) (text string, err error) {
	fd, err := openLock(file)
	if err != nil {
		return "unable to open ", err
	}
	for {
		if err = syscall.Flock(fd, how); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		return "unable to lock ", err
	}
	return "unable to lock ", leave(fd)
}

// openLock opens a file for appending, and makes it if need be.
func openLock(file string) (fd int, err error) {
	for {
		fd, err = syscall.Open(file, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_APPEND|syscall.O_CREAT|syscall.O_CLOEXEC, 0o600)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// leave leaves a descriptor to the program that we become, at the number that open would have given it had
// the runtime not taken some. Those are closed on exec anyway.
func leave(fd int) error {
	n := 3
	for inherited(n) {
		n++
	}
	if n == fd {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
		return err
	}
	return syscall.Dup3(fd, n, 0)
}
