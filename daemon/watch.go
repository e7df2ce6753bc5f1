package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/supervisor"
)

// A watcher turns changes of the root and of service directories into hints. Nothing is believed of an
// event but that something has changed, so one that is lost costs time and nothing else.
type watcher struct {
	d *daemon

	// The daemon's goroutine has these.
	directories map[string]*entry // by the path that is watched
	idle        map[string]int    // events of a directory since one of them meant something
	moves       *supervisor.Lane  // on which directories that were moved are watched anew, in order

	// What asks the kernel to watch can hang, and is done on lanes.
	notify  *fsnotify.Watcher // nil where there is no inotify
	fd      int               // its descriptor, or -1
	failure error             // why
	watched atomic.Bool       // the root, by its lane
	short   atomic.Bool       // it was said that a service directory cannot be watched
}

// noisy is how many events of a directory that meant nothing end its being watched: a service that
// writes in its own directory is not to wake the daemon at every write.
const noisy = 64

func newWatcher(d *daemon) *watcher {
	w := &watcher{d: d, directories: make(map[string]*entry), idle: make(map[string]int), moves: d.host.Pool.NewLane()}
	w.notify, w.fd, w.failure = newNotify()
	if w.failure == nil {
		go w.read(w.notify)
	}
	return w
}

// newNotify makes the library's Watcher and finds out what its descriptor is, which it does not tell: the one that was
// free before. -1 means that it is not known.
func newNotify() (n *fsnotify.Watcher, fd int, err error) {
	free, ferr := unix.FcntlInt(uintptr(unix.Stderr), unix.F_DUPFD_CLOEXEC, 3)
	if ferr == nil {
		unix.Close(free)
	}
	if n, err = fsnotify.NewWatcher(); err != nil {
		return nil, -1, err
	}
	if to, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", free)); to != "anon_inode:inotify" {
		free = -1
	}
	return n, free, nil
}

func (w *watcher) close() {
	w.fd = -1
	if w.notify != nil {
		w.d.host.Pool.NewLane().Do(func() { w.notify.Close() })
	}
}

// read posts hints until the watcher is closed.
func (w *watcher) read(n *fsnotify.Watcher) {
	for {
		select {
		case ev, ok := <-n.Events:
			if !ok {
				return
			}
			w.d.mail.post(func() { w.changed(ev.Name, ev.Has(fsnotify.Remove|fsnotify.Rename)) })
		case err, ok := <-n.Errors:
			if !ok {
				return
			}
			w.d.mail.post(func() { w.failed(err) })
		}
	}
}

// changed finds out whom an event is for: it names the watched directory itself or an entry of it.
func (w *watcher) changed(name string, left bool) {
	d := w.d
	dir := filepath.Dir(name)
	switch {
	case name == d.root:
		if left {
			w.watched.Store(false)
		}
		d.rescan()
	case dir == d.root:
		d.rescan()
	case dir == filepath.Dir(d.root):
		w.meaningless(dir)
	}
	if e := w.directories[name]; e != nil && left { // by now the library watches no directory of that name
		w.follow(e, nil, []string{name})
	}
	for _, limits := range [...]string{dir, name} {
		if e := w.directories[filepath.Dir(limits)]; e != nil && limits == limitsIn(filepath.Dir(limits)) {
			e.limitsChanged(limits)
			return
		}
	}
	for _, path := range [...]string{dir, name} {
		if e := w.directories[path]; e != nil {
			w.event(path, e)
			return
		}
	}
}

func (w *watcher) event(path string, e *entry) {
	if e.heeds() {
		delete(w.idle, path)
	} else {
		w.meaningless(path)
	}
	e.changed()
}

// meaningless counts an event that nobody wanted.
func (w *watcher) meaningless(path string) {
	if w.idle[path]++; w.idle[path] == noisy {
		delete(w.idle, path)
		w.d.host.Pool.NewLane().Do(func() { w.remove(path) })
	}
}

// failed answers an error of inotify; what was missed is not known, so everything is looked at.
func (w *watcher) failed(err error) {
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		w.d.messages.warn("", "watching directories: %v; looking at all of them", err)
	}
	for _, e := range w.d.entries {
		e.changed()
	}
	w.d.rescan()
}

// root watches the root, anew if it is another directory than before. It is called on the root's lane.
func (w *watcher) root(path string, another bool) error {
	if fsstate.Unwatchable(path) {
		return errors.New("its file system does not tell of all changes")
	}
	if w.notify == nil {
		return w.failure
	}
	if w.watched.Swap(true) && !another {
		return nil
	}
	w.notify.Remove(path) // it may still name the directory that was there
	err := w.notify.Add(path)
	if err != nil {
		w.watched.Store(false)
		return err
	}
	// That it was removed is not told of a directory that is still in use, as the root is by the lock in
	// it, and never of a link to it. The directory above tells of both.
	w.notify.Add(filepath.Dir(path))
	return nil
}

// add watches a service directory. It is called on a lane.
func (w *watcher) add(path string) {
	if w.notify == nil || fsstate.Unwatchable(path) {
		return
	}
	if err := w.notify.Add(path); err != nil && !w.short.Swap(true) {
		w.d.messages.warn("", "cannot watch %s: %v; what is changed in it and others is noticed later", path, err)
	}
}

// service watches a service directory, or its logger's, and where limits count the one that has them. It is called on
// a lane.
func (w *watcher) service(path string, limits bool) {
	w.add(path)
	if limits {
		w.addThere(limitsIn(path))
	}
}

// follow watches directories of an entry that were moved, in place of others.
func (w *watcher) follow(e *entry, left, entered []string) {
	limits := e.group != ""
	w.moves.Do(func() {
		for _, path := range left {
			w.drop(path)
		}
		for _, path := range entered {
			if _, isDir, err := fsstate.Identify(path); err == nil && isDir { // it may have moved on
				w.service(path, limits)
			}
		}
		w.d.mail.post(e.changed) // what has changed before is no event
	})
}

// addThere watches a directory if it exists. It is called on a lane.
func (w *watcher) addThere(path string) {
	if _, isDir, err := fsstate.Identify(path); err == nil && isDir {
		w.add(path)
	}
}

// forget stops watching a service directory.
func (w *watcher) forget(path string, e *entry) {
	if w.disown(path, e) {
		w.d.host.Pool.NewLane().Do(func() { w.drop(path) })
	}
}

// disown says that changes of a directory no longer concern an entry, and tells whether they did.
func (w *watcher) disown(path string, e *entry) bool {
	if w.directories[path] != e {
		return false
	}
	delete(w.directories, path)
	delete(w.idle, path)
	return true
}

// drop stops watching a directory and the limits in it. It is called on a lane.
func (w *watcher) drop(path string) {
	w.remove(path)
	w.remove(limitsIn(path))
}

func (w *watcher) remove(path string) {
	if w.notify != nil {
		w.notify.Remove(path)
	}
}
