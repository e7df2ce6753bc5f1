package fsstate

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another supervise, ours or anyone's, has the service directory.
var ErrLocked = errors.New("another supervise has the lock")

// takeLock takes the lock in both senses: flock is what daemontools, encore and runit test, the OFD
// lock is what s6's tools see.
func (d *Dir) takeLock(super int) error {
	path := filepath.Join(d.super, "lock")
	fd, err := openat(super, "lock", unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NONBLOCK, 0o600)
	if err == unix.EROFS {
		fd, err = openat(super, "lock", unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if err == unix.ENOENT {
			err = unix.EROFS
		}
	}
	if err != nil {
		return &OpError{"open", path, err}
	}
	if err := lockFile(fd); err != nil {
		unix.Close(fd)
		return &OpError{"lock", path, err}
	}
	d.lock = fd
	return nil
}

func lockFile(fd int) error {
	held := func(err error) error {
		if err == unix.EAGAIN || err == unix.EACCES {
			return ErrLocked
		}
		return err
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return held(err)
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &whole)
	if err == unix.EBADF || err == unix.EINVAL || err == unix.ENOLCK {
		return nil // opened for reading, or a file system without such locks: flock has to do
	}
	return held(err)
}
