package supervisor

import (
	"encoding/binary"
	"sync"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
)

// watches tell of changes in directories that are not the services' own, by one inotify descriptor. The zero
// value is ready.
type watches struct {
	mu    sync.Mutex
	fd    int // 0 until there is something to watch
	heard map[int32]map[*watching]func()
}

// A watching is one wish to be told of a directory.
type watching struct{ wd int32 }

// changes are those by which a file appears in a directory, becomes another one or goes.
const changes = unix.IN_MOVED_TO | unix.IN_CREATE | unix.IN_MODIFY | unix.IN_MOVED_FROM | unix.IN_DELETE |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// add makes heard be called after every change of the directory, until drop. heard must not block. It may fail
// for want of watches, and where changes go unnoticed.
func (w *watches) add(c *Controls, dir string, heard func()) (*watching, error) {
	if fsstate.Unwatchable(dir) {
		return nil, unix.ENOTSUP
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd == 0 {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return nil, err
		}
		if err := c.AddEach(fd, w.read); err != nil {
			unix.Close(fd)
			return nil, err
		}
		w.fd, w.heard = fd, make(map[int32]map[*watching]func())
	}
	wd, err := unix.InotifyAddWatch(w.fd, dir, changes)
	if err != nil {
		return nil, err
	}
	g := &watching{int32(wd)}
	if w.heard[g.wd] == nil {
		w.heard[g.wd] = make(map[*watching]func())
	}
	w.heard[g.wd][g] = heard
	return g, nil
}

// drop ends a watching; nil is none.
func (w *watches) drop(g *watching) {
	if g == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if delete(w.heard[g.wd], g); len(w.heard[g.wd]) == 0 {
		delete(w.heard, g.wd)
		unix.InotifyRmWatch(w.fd, uint32(g.wd))
	}
}

// read calls whom the next events are for. Of what has happened only where counts.
func (w *watches) read() {
	w.mu.Lock()
	defer w.mu.Unlock()
	var buf [4096]byte
	n, err := unix.Read(w.fd, buf[:])
	if err != nil {
		return
	}
	for rest := buf[:n]; len(rest) >= unix.SizeofInotifyEvent; {
		e := parseEvent(rest)
		all := []int32{e.Wd}
		if e.Mask&unix.IN_Q_OVERFLOW != 0 {
			all = nil
			for wd := range w.heard {
				all = append(all, wd)
			}
		}
		for _, wd := range all {
			for _, heard := range w.heard[wd] {
				heard()
			}
		}
		rest = rest[min(len(rest), unix.SizeofInotifyEvent+int(e.Len)):]
	}
}

// parseEvent reads the head of an inotify_event.
func parseEvent(b []byte) unix.InotifyEvent {
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
	return unix.InotifyEvent{Wd: int32(word(0)), Mask: word(1), Cookie: word(2), Len: word(3)}
}
