package fsstate

import (
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A Watch waits for changes of what supervisors say about their services. It is one goroutine's.
type Watch struct {
	fd   int
	poll time.Duration // how often to look where changes may go unnoticed, or 0
}

// NewWatch returns a Watch of nothing.
func NewWatch() (*Watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, &OpError{"use", "inotify", err}
	}
	return &Watch{fd: fd}, nil
}

// Close gives it up.
func (w *Watch) Close() { unix.Close(w.fd) }

// unnoticed is how often to look where others than this kernel can change files.
const unnoticed = time.Second

// Add watches the supervise directory super, or where it will be. It is to be called before what super
// says is looked at, each time anew: where it is may have changed. supervised is what the last look at
// super has shown. Looking at it does not change anything.
func (w *Watch) Add(super string, supervised bool) error {
	dir := nearest(filepath.Join(super, "status"))
	// A status is renamed into place, or, by daemontools-encore, written anew; directories and ok are made.
	const changes = unix.IN_MOVED_TO | unix.IN_CREATE | unix.IN_MODIFY | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	if _, err := unix.InotifyAddWatch(w.fd, dir, changes|unix.IN_ONLYDIR); err != nil {
		return &OpError{"watch", dir, err}
	}
	if Unwatchable(dir) {
		w.poll = unnoticed
	}
	// Supervision begins when somebody opens ok for reading, and ends when he closes it. A client that
	// finds a reader opens it, too, for writing.
	ok := filepath.Join(super, "ok")
	mask := uint32(unix.IN_OPEN)
	if supervised {
		mask = unix.IN_CLOSE_NOWRITE
	}
	if _, err := unix.InotifyAddWatch(w.fd, ok, mask); err != nil && err != unix.ENOENT && err != unix.ENOTDIR {
		return &OpError{"watch", ok, err}
	}
	return nil
}

// Wait waits until something has changed, perhaps, or the deadline is over; the zero deadline never is.
// It tells whether there is time left.
func (w *Watch) Wait(deadline time.Time) (bool, error) {
	for {
		left := time.Duration(-1)
		if !deadline.IsZero() {
			if left = time.Until(deadline); left <= 0 {
				return false, nil
			}
		}
		look := w.poll > 0 && (left < 0 || w.poll < left)
		if look {
			left = w.poll
		}
		fds := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, milliseconds(left))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return false, &OpError{"wait for", "inotify", err}
		case n > 0:
			return true, w.drain()
		case look:
			return true, nil
		}
	}
}

// milliseconds is what poll(2) takes, rounded up; negative is for ever.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	const longest = 1 << 30
	return int(min((d+time.Millisecond-1)/time.Millisecond, longest))
}

// drain forgets what has happened: that something has is all there is to know.
func (w *Watch) drain() error {
	var buf [4096]byte
	for {
		_, err := unix.Read(w.fd, buf[:])
		switch err {
		case nil, unix.EINTR:
		case unix.EAGAIN:
			return nil
		default:
			return &OpError{"read", "inotify", err}
		}
	}
}
