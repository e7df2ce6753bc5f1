package fsstate

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// LockHome makes the directory that a daemon has of its own in its root, and locks it until the process
// ends: there is one daemon for a root. The error is ErrLocked where there is one already.
func LockHome(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return &OpError{"make", path, errnoOf(err)}
	}
	lock := filepath.Join(path, "lock")
	fd, err := open(lock, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return &OpError{"open", lock, err}
	}
	if err := lockFile(fd); err != nil {
		unix.Close(fd)
		if err == ErrLocked {
			return err
		}
		return &OpError{"lock", lock, err}
	}
	return nil
}
