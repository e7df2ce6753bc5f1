package cgroup

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// pollInterval is how often a group is looked at that cannot be watched.
const pollInterval = 50 * time.Millisecond

var errClosed = errors.New("the tree of cgroups is closed")

// A watcher waits for groups to become empty. The kernel tells of that as of a change of cgroup.events.
// Its goroutine runs from the first wait on.
type watcher struct {
	mu     sync.Mutex
	waits  map[string][]*wait // by the group's directory
	notify *fsnotify.Watcher  // nil where there is no inotify
	wake   chan struct{}      // says that there is something to poll
	stop   chan struct{}
	done   chan struct{}
	closed bool
}

// A wait is for one group.
type wait struct {
	f       func()
	watched bool // else polled
}

// WhenEmpty calls f once, when nothing lives in the group: before it returns if that is so now, else from a
// goroutine of the tree, which f must not hold up. A group that does not exist is empty. After cancel f is
// not called, unless it is being called already. The error says that the tree is closed.
func (g *Group) WhenEmpty(f func()) (cancel func(), err error) {
	return g.tree.watch.add(g.leaf, f)
}

func (w *watcher) add(dir string, f func()) (cancel func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, errClosed
	}
	if w.done == nil {
		notify, _ := fsnotify.NewWatcher()
		w.start(notify)
	}
	entry := &wait{f: f}
	w.waits[dir] = append(w.waits[dir], entry)
	// First the watch, then the look: what happens between them is told.
	entry.watched = w.notify != nil && w.notify.Add(eventsFile(dir)) == nil
	if now := w.look(dir); now != nil {
		w.mu.Unlock()
		call(now)
		w.mu.Lock()
		return func() {}, nil
	}
	if !entry.watched {
		w.poll()
	}
	return func() { w.cancel(dir, entry) }, nil
}

func eventsFile(dir string) string { return filepath.Join(dir, "cgroup.events") }

func call(waits []*wait) {
	for _, entry := range waits {
		entry.f()
	}
}

// start is called with the lock held.
func (w *watcher) start(notify *fsnotify.Watcher) {
	w.waits = make(map[string][]*wait)
	w.wake, w.stop, w.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	w.notify = notify
	go w.run(notify)
}

func (w *watcher) run(notify *fsnotify.Watcher) {
	defer close(w.done)
	var events chan fsnotify.Event
	var failures chan error
	if notify != nil {
		events, failures = notify.Events, notify.Errors
	}
	for {
		var tick <-chan time.Time
		if w.polling() {
			tick = time.After(pollInterval)
		}
		select {
		case ev := <-events:
			w.check(filepath.Dir(ev.Name))
		case <-failures: // an event may have been lost
			w.checkAll()
		case <-tick:
			w.checkAll()
		case <-w.wake:
		case <-w.stop:
			return
		}
	}
}

// polling tells whether something has to be polled.
func (w *watcher) polling() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, list := range w.waits {
		if slices.ContainsFunc(list, func(entry *wait) bool { return !entry.watched }) {
			return true
		}
	}
	return false
}

func (w *watcher) poll() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watcher) checkAll() {
	w.mu.Lock()
	var now []*wait
	for dir := range w.waits {
		now = append(now, w.look(dir)...)
	}
	w.mu.Unlock()
	call(now)
}

func (w *watcher) check(dir string) {
	w.mu.Lock()
	now := w.look(dir)
	w.mu.Unlock()
	call(now)
}

// look returns who waits for a group, if it is empty, and forgets them. It is called with the lock held.
func (w *watcher) look(dir string) []*wait {
	list := w.waits[dir]
	if len(list) == 0 {
		return nil
	}
	alive, err := populated(dir)
	if err != nil {
		// The kernel will not tell again; perhaps there were too many open files.
		for _, entry := range list {
			entry.watched = false
		}
		return nil
	}
	if alive {
		return nil
	}
	w.forget(dir)
	return list
}

// forget is called with the lock held.
func (w *watcher) forget(dir string) {
	delete(w.waits, dir)
	if w.notify != nil {
		w.notify.Remove(eventsFile(dir))
	}
}

func (w *watcher) cancel(dir string, entry *wait) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waits[dir], entry)
	if i < 0 || w.closed {
		return
	}
	if w.waits[dir] = slices.Delete(w.waits[dir], i, i+1); len(w.waits[dir]) == 0 {
		w.forget(dir)
	}
}

// close ends the goroutine.
func (w *watcher) close() {
	w.mu.Lock()
	if w.closed || w.done == nil {
		w.closed = true
		w.mu.Unlock()
		return
	}
	w.closed = true
	w.mu.Unlock()
	close(w.stop)
	<-w.done
	if w.notify != nil {
		w.notify.Close()
	}
}
