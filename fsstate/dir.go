// Package fsstate is everything on disk about a service, for the daemon and the clients alike: the
// service directory read into a Definition, and supervise/ with its lock, control, ok and status.
//
// What a Dir does may block for as long as the file system of the service does. Its methods are
// therefore called by one goroutine at a time that nothing else waits for.
package fsstate

import (
	"bytes"
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A Dir is a supervised directory: it holds the lock, and control and ok have a reader, until Close.
// It keeps three descriptors.
type Dir struct {
	path      string // of the service directory, symbolic links resolved
	super     string // of its supervise directory
	id        ID     // of its supervise directory
	elsewhere bool   // super is not below path, so it cannot tell where path has gone

	lock    int // supervise/lock, with flock and an OFD lock
	control int // supervise/control, for reading and writing: it never sees EOF
	ok      int // supervise/ok, for reading
	held    func(ID) (Held, bool)

	superFD int  // its supervise directory, until the first Complete with something to write or Settle; or -1
	fresh   bool // it was made
}

// Take makes the supervise directory of the service directory path what daemontools' clients expect,
// in the order of daemontools' supervise: lock before anything is changed, and status before ok gets
// a reader, so that who gets past ok finds a status. Without a status, which is then to come by
// Complete, ok is left for that. superDir is the absolute path of the supervise directory, or empty for the
// place that SUPERVISEDIR gives.
//
// Where the file system refuses to be written to, Take returns a Dir that lacks what could not be
// made, together with an *Unrecorded that says so; the service can run all the same, and Complete
// tries again. Any other error comes without a Dir.
func Take(path, superDir string, status []byte) (*Dir, error) {
	return TakeHeld(path, superDir, status, nil)
}

// TakeHeld is Take where held knows what was handed on to this process. held is asked once.
func TakeHeld(path, superDir string, status []byte, held func(ID) (Held, bool)) (*Dir, error) {
	d, err := locate(path, superDir)
	if err != nil {
		return nil, err
	}
	d.held = held
	err = d.Complete(status, nil)
	if err != nil && !errors.As(err, new(*Unrecorded)) {
		d.Close()
		return nil, err
	}
	return d, err
}

// Path is where the service directory is now.
func (d *Dir) Path() string { return d.path }

// Locate finds out where the service directory is now: another one may have taken its place.
func (d *Dir) Locate() string {
	if id, _, err := Identify(d.super); err == nil && id == d.id {
		return d.path
	}
	if fd, err := d.openSuper(); err == nil {
		unix.Close(fd)
	}
	return d.path
}

// Moved says that the service directory now has another path. It matters where the supervise directory,
// which is found by itself, is not in it.
func (d *Dir) Moved(path string) {
	if d.elsewhere {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			d.path = real
		}
	}
}

// Control is the descriptor of supervise/control, opened for reading and writing and without
// blocking, or -1.
func (d *Dir) Control() int { return d.control }

// Complete makes what of the supervise directory is not there yet, replaces supervise/status as a whole, so that
// readers see the old bytes or the new ones, and rewrites supervise/resume. What is nil stays as it is; ok is made
// when there is a status.
func (d *Dir) Complete(status, resume []byte) error {
	super, err := d.hold()
	if err != nil {
		return err
	}
	if status == nil && resume == nil {
		d.superFD = super
		return nil
	}
	defer unix.Close(super)
	// What anybody has seen in the status must hold after a crash, and so is in resume by then.
	var unrecorded, unwritten error
	if resume != nil {
		unrecorded = d.rewrite(super, "resume", resume)
	}
	if status != nil {
		// Nobody gets past ok yet, so a status that was not there before need not come as a whole.
		if d.ok >= 0 || createAt(super, "status", status) != nil {
			unwritten = d.replace(super, "status", status)
		}
		if d.ok < 0 {
			if d.ok, err = d.openFIFO(super, "ok", unix.O_RDONLY); err != nil {
				return refused(err)
			}
		}
	}
	if unwritten == nil {
		unwritten = unrecorded
	}
	return unwritten
}

// SetDown makes or removes the file down of the service directory.
func (d *Dir) SetDown(down bool) error {
	path := filepath.Join(d.Locate(), "down")
	if !down {
		if err := unix.Unlink(path); err != nil && err != unix.ENOENT {
			return &OpError{"remove", path, err}
		}
		return nil
	}
	fd, err := open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_NONBLOCK|unix.O_NOCTTY, 0o644)
	if err != nil && err != unix.ENXIO && err != unix.EISDIR { // which count as down, too
		return &OpError{"make", path, err}
	}
	if err == nil {
		unix.Close(fd)
	}
	return nil
}

// Settle gives up what only taking the directory up has needed.
func (d *Dir) Settle() {
	if d.superFD >= 0 {
		unix.Close(d.superFD)
		d.superFD = -1
	}
}

// Announce rewrites supervise/resume between a decision and what comes of it, which Complete records. What fails
// will fail again then.
func (d *Dir) Announce(resume []byte) {
	if super, err := d.openSuper(); err == nil {
		overwrite(super, "resume", resume)
		unix.Close(super)
	}
}

// Resume reads supervise/resume.
func (d *Dir) Resume() (Info, error) {
	if d.fresh {
		return Info{}, unix.ENOENT
	}
	line, err := readShort(filepath.Join(d.super, "resume"))
	if err != nil {
		return Info{}, err
	}
	return ParseInfo(line)
}

// ReadResume reads the file resume of a supervise directory that somebody else may be writing: what counts is what
// is there twice.
func ReadResume(super string) (i Info, err error) {
	var before []byte
	for range 4 {
		var line []byte
		if line, err = readShort(filepath.Join(super, "resume")); err != nil {
			return Info{}, err
		}
		if i, err = ParseInfo(line); bytes.Equal(line, before) {
			break
		}
		before = line
	}
	return i, err
}

// hold takes the lock and makes control, unless that was done, and opens the supervise directory.
func (d *Dir) hold() (super int, err error) {
	if d.superFD >= 0 {
		super, d.superFD = d.superFD, -1
		return super, nil
	}
	if d.control >= 0 {
		if super, err = d.openSuper(); err != nil {
			return -1, &Unrecorded{&OpError{"open", d.super, err}}
		}
		return super, nil
	}
	if super, err = d.makeSuper(); err != nil {
		return -1, unlocked(err)
	}
	if d.held != nil {
		if h, there := d.held(d.id); there {
			d.keep(h)
		}
		d.held = nil
	}
	if d.lock < 0 {
		if err = d.takeLock(super); err != nil {
			err = unlocked(err)
		}
	}
	if err == nil && d.control < 0 {
		if d.control, err = d.openFIFO(super, "control", unix.O_RDWR); err != nil {
			err = refused(err)
		}
	}
	if err != nil {
		unix.Close(super)
		return -1, err
	}
	return super, nil
}

// Close gives the directory up: clients see that it is not supervised, and the lock is free. Nothing
// is removed, as with daemontools' supervise. The caller has stopped reading Control.
func (d *Dir) Close() {
	d.Settle()
	for _, fd := range []*int{&d.control, &d.ok, &d.lock} {
		if *fd >= 0 {
			if fd == &d.lock {
				// A child between its fork and its exec has it, too: closing ours is not enough.
				unix.Flock(*fd, unix.LOCK_UN)
				unix.FcntlFlock(uintptr(*fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK})
			}
			unix.Close(*fd)
			*fd = -1
		}
	}
}
