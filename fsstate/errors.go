package fsstate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// An Unrecorded is what a file system that cannot be written to keeps a supervised directory from
// having.
type Unrecorded struct{ Err error }

func (u *Unrecorded) Error() string { return u.Err.Error() }

func (u *Unrecorded) Unwrap() error { return u.Err }

// An OpError says what could not be done to which file.
type OpError struct {
	Op   string
	Path string
	Err  error
}

func (e *OpError) Error() string { return fmt.Sprintf("cannot %s %s: %v", e.Op, e.Path, e.Err) }

func (e *OpError) Unwrap() error { return e.Err }

// refused marks the errors that say more of the machine's state at the moment than of the service.
func refused(err error) error {
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return &Unrecorded{err}
	}
	return unlocked(err)
}

// unlocked is refused for what keeps us from the lock: only where nobody else can have it is it safe to
// go on without.
func unlocked(err error) error {
	for _, errno := range []error{unix.EROFS, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, errno) {
			return &Unrecorded{err}
		}
	}
	return err
}

// errnoOf strips what os and filepath wrap around an errno, which our own message says already.
func errnoOf(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		return le.Err
	}
	if err != nil && strings.Contains(err.Error(), "too many links") {
		return unix.ELOOP
	}
	return err
}
