package applet

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// fghack runs a program that puts itself into the background, and stays in the foreground for as long as
// that or anything that it has started runs: all of them inherit the writing end of a pipe, in so many
// copies that a program which closes some descriptors leaves one open. Signals to fghack reach fghack
// alone.
func fghack(c *call) int {
	plainSignals()
	if len(c.args) == 0 {
		return c.usage("fghack: usage: fghack child")
	}
	watch, err := newHolderPipe()
	if err != nil {
		return c.fatal("fghack", "unable to create pipe", err)
	}
	files, err := watch.files()
	if err != nil {
		return c.fatal("fghack", "unable to create pipe", err)
	}
	env := environ()
	paths := programPaths(c.args[0], env)
	var pid int
	errno := firstToRun(len(paths), func(i int) syscall.Errno {
		var err error
		pid, err = syscall.ForkExec(paths[i], c.args, &syscall.ProcAttr{Env: env, Files: files})
		return execErrno(err)
	})
	switch errno {
	case 0:
	case syscall.EAGAIN: // which execve has no use for
		return c.fatal("fghack", "unable to fork", errno)
	default:
		return c.fatal("fghack", "unable to run "+c.args[0], errno)
	}
	watch.wait()

	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return c.fatal("fghack", "wait failed", err)
		}
		break
	}
	if !status.Exited() {
		c.say("fghack: fatal: child crashed")
		return exitTemporary
	}
	return status.ExitStatus()
}

// A holderPipe tells when all holders of its writing end are gone.
type holderPipe struct{ read, write int }

func newHolderPipe() (holderPipe, error) {
	var ends [2]int
	err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC)
	return holderPipe{ends[0], ends[1]}, err
}

// files are the descriptors of the child: those that we were given, and the writing end at the 31 lowest
// other numbers, or at as many of them as may be open.
func (p *holderPipe) files() ([]uintptr, error) {
	limit := unix.Rlimit{Cur: unix.RLIM_INFINITY}
	unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) // without it as if there were none
	// The end itself and one more that a fork needs have to be above those of the child, or the fork makes
	// room above them by the dozen. What else is open there is not looked for.
	const above = 8
	isWrite := ^uintptr(0)
	files := []uintptr{0, 1, 2}
	for copies := 0; copies == 0 || copies < 31 && uint64(len(files)+above) < limit.Cur; {
		if n := len(files); inherited(n) {
			files = append(files, uintptr(n))
			continue
		}
		files = append(files, isWrite)
		copies++
	}
	write, err := unix.FcntlInt(uintptr(p.write), unix.F_DUPFD_CLOEXEC, len(files))
	if err != nil {
		return nil, err
	}
	syscall.Close(p.write)
	p.write = write
	for n, fd := range files {
		if fd == isWrite {
			files[n] = uintptr(write)
		}
	}
	return files, nil
}

// inherited tells whether a descriptor is one that we were given. Those that we or the runtime have opened
// are closed on exec.
func inherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// wait gives up our own writing end and waits for the end of all others.
func (p holderPipe) wait() {
	syscall.Close(p.write)
	buf := make([]byte, 512)
	for {
		if _, err := fdReader(p.read).Read(buf); err != nil {
			return
		}
	}
}
