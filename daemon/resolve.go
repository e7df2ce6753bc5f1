package daemon

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"upkeep/fsstate"
)

// hangTime is how long a scan waits to be told what its entries are. Those that take longer hang, as
// mounts or behind links; they are kept as they were.
const hangTime = time.Second

// helpTime is how long the entries behind one that hangs wait until somebody else goes on.
const helpTime = 250 * time.Millisecond

// A resolver finds out what the names of one scan are. Any of them can hang, so the work is taken from a
// common list: who hangs has only its own name, and what was found before is told by the next.
type resolver struct {
	d      *daemon
	number int      // of the scan
	names  []string // of the whole scan, sorted
	left   int      // that the daemon's goroutine has not been told of
	over   bool     // the scan has ended

	mu       sync.Mutex
	next     int      // index of the name to look at next
	todo     []string // without those that an earlier scan still looks at
	resolved []resolved
}

type resolved struct {
	name  string
	id    fsstate.ID
	isDir bool
	err   error
}

func (d *daemon) newResolver(names []string) *resolver {
	r := &resolver{d: d, number: d.scan.number, names: names}
	for _, name := range names {
		if !d.scan.resolving[name] {
			d.scan.resolving[name] = true
			r.todo = append(r.todo, name)
		}
	}
	r.left = len(r.todo)
	return r
}

// begin looks at the names.
func (r *resolver) begin() {
	if r.left == 0 {
		r.end()
		return
	}
	r.d.host.Pool.NewLane().Do(r.work)
	r.d.host.After(helpTime, r.help)
}

// help goes on in the place of who hangs, and ends the scan when that has taken too long.
func (r *resolver) help() {
	if r.left == 0 || r.d.stop != nil {
		return
	}
	if time.Since(r.d.scan.begun) >= hangTime {
		r.end()
	}
	r.mu.Lock()
	more := r.next < len(r.todo)
	r.mu.Unlock()
	if more {
		r.d.host.Pool.NewLane().Do(r.work)
	}
	if more || !r.over {
		r.d.host.After(helpTime, r.help)
	}
}

func (r *resolver) end() {
	if !r.over {
		r.over = true
		r.d.unlisted(r.number, r.names)
	}
}

func (r *resolver) work() {
	for {
		r.mu.Lock()
		if r.next == len(r.todo) {
			r.mu.Unlock()
			break
		}
		name := r.todo[r.next]
		r.next++
		r.mu.Unlock()
		found := resolved{name: name}
		found.id, found.isDir, found.err = fsstate.Identify(filepath.Join(r.d.root, name))
		r.mu.Lock()
		r.resolved = append(r.resolved, found)
		r.mu.Unlock()
	}
	r.d.mail.postLater(r.tell)
}

// tell hands over what was found, in the order of the names, and ends the scan with the last one.
func (r *resolver) tell() {
	r.mu.Lock()
	list := r.resolved
	r.resolved = nil
	r.mu.Unlock()
	if len(list) == 0 {
		return
	}
	slices.SortFunc(list, func(a, b resolved) int { return strings.Compare(a.name, b.name) })
	d := r.d
	for _, f := range list {
		delete(d.scan.resolving, f.name)
		switch {
		case f.err != nil:
			path := filepath.Join(d.root, f.name)
			d.problem(f.name, "cannot stat %s: %v; looking again at each scan", path, f.err)
		case f.isDir:
			d.found(f.name, f.id)
		}
	}
	if r.left -= len(list); r.left == 0 {
		r.end()
	}
}
