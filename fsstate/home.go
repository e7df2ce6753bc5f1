package fsstate

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A Home is the directory .upkeep that a daemon has of its own in its root, locked: there is one daemon for a
// root. A nil one keeps nobody away and records nothing.
type Home struct {
	path    string
	fd      int // of the lock
	control int // for reading, or -1
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
	return &Home{path, fd, -1}, nil
}

// KeepHome is LockHome where the descriptors were handed on to this process.
func KeepHome(path string, lock, control int) *Home { return &Home{path, lock, control} }

// Held returns the descriptors of lock and control, -1 where there is none, to be handed on to the program that
// this process executes in its own place.
func (h *Home) Held() (lock, control int) {
	if h == nil {
		return -1, -1
	}
	return h.fd, h.control
}

// Close gives the lock up.
func (h *Home) Close() {
	if h == nil {
		return
	}
	unix.Close(h.fd)
	if h.control >= 0 {
		unix.Close(h.control)
	}
}

// Files of a Home. All but services are one line of an Info.
const (
	HomeStatus   = "status"   // the daemon: its pid, and phase up, or gone when it has ended as it should
	HomeCommand  = "command"  // the main command
	HomeServices = "services" // what is supervised, a name and a path a line, whether its entry is there or not
)

// Read reads one of the files.
func (h *Home) Read(name string) ([]byte, error) {
	if h == nil {
		return nil, unix.ENOENT
	}
	return readShort(filepath.Join(h.path, name))
}

// Last is what is recorded in one of the files.
func (h *Home) Last(name string) (Info, error) {
	line, err := h.Read(name)
	if err != nil {
		return Info{}, err
	}
	return ParseInfo(line)
}

// Write replaces one of the files as a whole.
func (h *Home) Write(name string, content []byte) error {
	if h == nil {
		return nil
	}
	dir, err := open(h.path, unix.O_DIRECTORY|unix.O_PATH, 0)
	if err != nil {
		return &OpError{"open", h.path, err}
	}
	defer unix.Close(dir)
	tmp := name + ".new"
	err = writeAt(dir, tmp, content)
	if err == nil {
		err = unix.Renameat(dir, tmp, dir, name)
	}
	if err != nil {
		return &OpError{"write", filepath.Join(h.path, name), err}
	}
	return nil
}
