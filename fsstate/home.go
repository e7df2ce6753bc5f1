package fsstate

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A Home is the directory .upkeep that a daemon has of its own in its root, locked: there is one daemon for a
// root. A nil one keeps nobody away and records nothing.
type Home struct {
	path string
	fd   int // of the lock
}

// LockHome makes the directory and locks it. The error is ErrLocked where there is another daemon already.
func LockHome(path string) (*Home, error) {
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
	return &Home{path, fd}, nil
}

// Close gives the lock up.
func (h *Home) Close() {
	if h != nil {
		unix.Close(h.fd)
	}
}

// ReadHome reads what the daemon of the home at path has recorded of itself: its pid, and phase up, or gone
// when it has ended as it should.
func ReadHome(path string) (Info, error) {
	line, err := readHead(filepath.Join(path, "status"), maxInfo)
	if err != nil {
		return Info{}, err
	}
	return ParseInfo(line)
}

// Last is what the last daemon has recorded of itself.
func (h *Home) Last() (Info, error) {
	if h == nil {
		return Info{}, unix.ENOENT
	}
	return ReadHome(h.path)
}

// Record replaces what Last returns.
func (h *Home) Record(i Info) error {
	if h == nil {
		return nil
	}
	dir, err := open(h.path, unix.O_DIRECTORY|unix.O_PATH, 0)
	if err != nil {
		return &OpError{"open", h.path, err}
	}
	defer unix.Close(dir)
	if err := writeAt(dir, "status.new", i.Append(nil)); err != nil {
		return &OpError{"write", filepath.Join(h.path, "status.new"), err}
	}
	if err := unix.Renameat(dir, "status.new", dir, "status"); err != nil {
		return &OpError{"write", filepath.Join(h.path, "status"), err}
	}
	return nil
}
