package fsstate

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A HomeLock keeps a second daemon from a root. A nil one keeps nobody.
type HomeLock struct{ fd int }

// Close gives the lock up.
func (h *HomeLock) Close() {
	if h != nil {
		unix.Close(h.fd)
	}
}

// LockHome makes the directory that a daemon has of its own in its root, and locks it: there is one
// daemon for a root. The error is ErrLocked where there is one already.
func LockHome(path string) (*HomeLock, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, &OpError{"make", path, errnoOf(err)}
	}
	lock := filepath.Join(path, "lock")
	fd, err := open(lock, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, &OpError{"open", lock, err}
	}
	if err := lockFile(fd); err != nil {
		unix.Close(fd)
		if err == ErrLocked {
			return nil, err
		}
		return nil, &OpError{"lock", lock, err}
	}
	return &HomeLock{fd}, nil
}
