package daemon

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"upkeep/cgroup"
	"upkeep/fsstate"
	"upkeep/logpipe"
	"upkeep/supervisor"
)

// An entry is a service directory of the root: its service, the logger beside it and the pipe between
// them. What it is, its device and inode, stays; its name may change.
type entry struct {
	d      *daemon
	id     fsstate.ID
	name   string
	path   string // name below the root
	real   string // path without symbolic links, as it is watched; empty until it is known
	former string // where an earlier upkeep has supervised it, if this one has not yet
	seen   int    // the last scan that found it
	gone   bool   // no longer listed
	halted bool   // to be stopped and forgotten

	since     time.Time // when it was first seen
	preparing bool      // its directory is being looked at
	waiting   bool      // for its directory to become complete
	group     string    // the name of its cgroup, if it has one
	groups    struct{ main, log *cgroup.Group }
	pipe      *logpipe.Pipe
	main      *supervisor.Supervisor // nil while it is not supervised
	log       *supervisor.Supervisor // nil without a logger, and while that is not supervised
	logged    bool
	program   bool      // the logger is the program log in the directory itself
	refused   [2]string // what was reported of main and log that could not be taken up
	after     []string  // what the service waits for, as was last heard
	trigger   fsstate.Trigger
	hastened  time.Time // when others began to wait for its status
	broken    time.Time // when a Supervisor of it has panicked last
}

// sorted returns the entries in the order of their names.
func (d *daemon) sorted() []*entry {
	list := make([]*entry, 0, len(d.entries))
	for _, e := range d.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	return list
}

// found says that a scan has found a directory of that name.
func (d *daemon) found(name string, id fsstate.ID) {
	if d.stop != nil {
		return
	}
	scan := d.scan.number
	delete(d.scan.problems, name)
	e := d.entries[id]
	if e == nil {
		d.newEntry(name, filepath.Join(d.root, name), id).prepare()
		return
	}
	if e.seen < scan { // the first of several names is the service's
		e.seen = scan
		e.rename(name)
	}
	if e.gone {
		e.gone = false
		if e.main == nil && !e.preparing {
			e.prepare()
		}
	}
}

func (d *daemon) newEntry(name, path string, id fsstate.ID) *entry {
	e := &entry{d: d, id: id, since: time.Now(), name: name, path: path, seen: d.scan.number}
	d.entries[id] = e
	d.scan.grown = true
	d.groups.of(e)
	return e
}

// rename follows a renamed entry: it stays the same service.
func (e *entry) rename(name string) {
	if e.name == name {
		return
	}
	e.name, e.path = name, filepath.Join(e.d.root, name)
	e.d.sequence.stale = true
	if e.main != nil {
		e.main.Rename(name, name, e.path)
	}
	if e.log != nil {
		e.log.Rename(name+"/log", "log", e.logPath())
	}
	e.follow(func() {})
}

// follow finds out where the directory is whose entry was renamed or removed, and then calls then: a directory that is
// no link is elsewhere now.
func (e *entry) follow(then func()) {
	if e.main == nil {
		then()
		return
	}
	e.main.Locate(func(path string) {
		if path != "" && e.d.entries[e.id] == e {
			e.settle(path)
		}
		then()
	})
}

// settle says where the directory is, under the name that the entry has now.
func (e *entry) settle(real string) {
	d, name, register := e.d, e.name, e.d.register
	if real != e.real {
		left := slices.DeleteFunc(e.places(), func(path string) bool { return !d.watch.disown(path, e) })
		e.real = real
		for _, path := range e.places() {
			d.watch.directories[path] = e
		}
		d.watch.follow(e, left, e.places())
	}
	d.watch.moves.Do(func() { register.add(name, real) })
	register.unneeded()
}

// places are the directories whose changes concern the entry.
func (e *entry) places() (list []string) {
	if e.real != "" {
		list = append(list, e.real)
	}
	if e.real != "" && e.logged && !e.program {
		list = append(list, filepath.Join(e.real, "log"))
	}
	return list
}

// superDirs returns where the supervise directories of the service and its logger are; empty for the
// place that the service directory itself gives.
func (e *entry) superDirs() (main, log string) {
	if e.d.State == "" {
		return "", ""
	}
	dir := filepath.Join(e.d.State, e.name)
	return filepath.Join(dir, "supervise"), filepath.Join(dir, "log", "supervise")
}

// logPath is the directory that the logger runs in.
func (e *entry) logPath() string { return e.logPathIn(e.path) }

func (e *entry) logPathIn(dir string) string {
	if e.program {
		return dir
	}
	return filepath.Join(dir, "log")
}

// limitsIn is the directory that holds the limits of the service whose directory is given.
func limitsIn(dir string) string { return filepath.Join(dir, "cgroup") }

func (e *entry) setLog(log *supervisor.Supervisor) {
	e.log = log
	if e.main != nil {
		e.main.SetLog(log)
	}
}

// supervisors are those of the service and of its logger, as far as there are any.
func (e *entry) supervisors() (list []*supervisor.Supervisor) {
	for _, s := range [...]*supervisor.Supervisor{e.main, e.log} {
		if s != nil {
			list = append(list, s)
		}
	}
	return list
}

// changed says that something in the service directory, or its logger's, is no longer what it was.
func (e *entry) changed() {
	switch {
	case e.waiting:
		e.complete()
	case e.main != nil:
		e.main.Changed()
		if e.log != nil {
			e.log.Changed()
		}
		if !e.logged {
			e.noteLog()
		}
	}
}

// limitsChanged says that the cgroup directory of the service or of its logger is no longer what it was.
func (e *entry) limitsChanged(dir string) {
	s := e.main
	if dir != limitsIn(e.real) {
		s = e.log
	}
	if s == nil {
		return
	}
	e.d.host.Pool.NewLane().Do(func() {
		e.d.watch.addThere(dir) // it may be new, and what is in it is read when it is watched
		e.d.mail.postLater(func() {
			if s == e.main || s == e.log {
				s.LimitsChanged()
			}
		})
	})
}

// noteLog lets svstat say that there is a log directory which does not count yet. As with svscan, what
// was there when the service was taken up decides.
func (e *entry) noteLog() {
	main, path := e.main, e.path
	e.d.host.Pool.NewLane().Do(func() {
		note := ""
		if logged, _ := fsstate.HasLog(path); logged {
			note = "log/ appeared after the service was taken up: it counts when it is next taken up (svc -dx)"
		}
		e.d.mail.postLater(func() { main.SetNote(note) })
	})
}

// heeds tells whether a change of the directory can mean anything at the moment.
func (e *entry) heeds() bool {
	if e.main == nil {
		return true
	}
	heeds := func(s supervisor.State) bool { return s.Broken || s.Held }
	return heeds(e.main.State()) || e.log != nil && heeds(e.log.State())
}
