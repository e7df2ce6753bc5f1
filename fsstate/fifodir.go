package fsstate

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// An Event is what s6-supervise tells of a service by one byte.
type Event byte

const (
	EventTaken  Event = 's' // supervision has begun
	EventUp     Event = 'u' // run runs
	EventReady  Event = 'U' // it has said that it is ready
	EventDead   Event = 'd' // run has ended
	EventFailed Event = 'O' // it makes no sense to start it again
	EventDown   Event = 'D' // finish has ended too, and run may be started
	EventLeft   Event = 'x' // supervision has ended
)

// A Fifodir is the path of the directory event of a service directory, by which s6's programs hear what
// becomes of the service: each listener makes a FIFO in it. The empty one tells nobody.
type Fifodir string

// fifodirMode lets the group of the supervisor listen: who may write in the directory may make a FIFO
// there, and nobody else may remove it or see what there is.
const fifodirMode = 0o3730

// MakeFifodir makes the directory event beside supervise, unless there is one. Where supervise is
// elsewhere by another name, it is made in the service directory. As with supervise, what a link to
// nothing names is made.
func (d *Dir) MakeFifodir() (Fifodir, error) {
	path := d.path
	if filepath.Base(d.super) == "supervise" {
		path = filepath.Dir(d.super)
	}
	dir := filepath.Join(path, "event")
	target := dir
	if to, err := os.Readlink(dir); err == nil {
		target = within(path, to)
	}
	err := unix.Mkdir(target, 0o700)
	if err == unix.EEXIST {
		if _, isDir, serr := Identify(dir); serr != nil || isDir {
			err = serr
		} else {
			err = unix.ENOTDIR
		}
	} else if err == nil {
		if err = unix.Chown(target, -1, os.Getegid()); err == nil {
			err = unix.Chmod(target, fifodirMode) // which no umask takes away from
		}
	}
	if err != nil {
		return "", &OpError{"make", dir, err}
	}
	return Fifodir(dir), nil
}

// Tell tells every listener of events, in their order. It never waits: a listener that does not read
// misses them, and the FIFO of one that is gone is removed.
func (d Fifodir) Tell(events ...Event) error {
	if d == "" || len(events) == 0 {
		return nil
	}
	fd, err := open(string(d), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return &OpError{"open", string(d), err}
	}
	defer unix.Close(fd)
	text := make([]byte, len(events))
	for i, e := range events {
		text[i] = byte(e)
	}
	e := entries{fd: fd}
	for e.next() {
		if name := string(e.name()); isListener(name) {
			tell(fd, name, text)
		}
	}
	if e.err != nil {
		return &OpError{"read", string(d), e.err}
	}
	return nil
}

// isListener tells the name of a listener's FIFO: the time at which it was made, and six letters.
func isListener(name string) bool {
	return len(name) == len("ftrig1:@400000006b02abb10bee2e51:abcdef") && strings.HasPrefix(name, "ftrig1:@")
}

func tell(dirfd int, name string, text []byte) {
	fd, err := openat(dirfd, name, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err == nil {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
			err = ignoreEINTR(func() error {
				_, err := unix.Write(fd, text)
				return err
			})
		}
		unix.Close(fd)
	}
	if err == unix.ENXIO || err == unix.EPIPE {
		unix.Unlinkat(dirfd, name, 0)
	}
}
