package logpipe

import (
	"time"

	"golang.org/x/sys/unix"
)

// persist tries until do succeeds, which it does to the directory, or to the file of that name in it.
// Nothing that fails once a Log is open ends it.
func (d *directory) persist(doing, name string, do func() error) {
	for {
		err := do()
		if err == nil {
			return
		}
		if err != unix.EINTR {
			place := d.path
			if name != "" {
				place += "/" + name
			}
			d.env.pause("unable to "+doing+" "+place, err)
		}
	}
}

func (e *Environment) pause(text string, err error) {
	e.Warn(text+", pausing", err)
	time.Sleep(e.Pause)
}

// How files are opened. None of them ever blocks.
const (
	reading    = unix.O_RDONLY
	writing    = unix.O_WRONLY
	appending  = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT
	truncating = unix.O_WRONLY | unix.O_TRUNC | unix.O_CREAT
)

// openAt is openat(2), started anew where a signal interrupts it.
func openAt(dir int, name string, flags int, mode uint32) (fd int, err error) {
	for {
		fd, err = unix.Openat(dir, name, flags|unix.O_NONBLOCK|unix.O_CLOEXEC, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}
