package daemon

import (
	"path/filepath"
	"slices"

	"upkeep/cgroup"
	"upkeep/fsstate"
	"upkeep/supervisor"
)

// A register keeps the list from which an upkeep that is started after a crash finds the services whose entries are
// gone by then. A service is in it before it is taken up.
type register struct {
	*fsstate.Register
	d        *daemon
	asked    int  // what of an earlier upkeep is still to be looked at: the list, or services in it
	long     bool // there may be lines that are not needed
	busy     bool // it is being shortened
	failing  bool // a line could not be written
	retrying bool // that will be tried again
}

func newRegister(d *daemon) *register {
	return &register{Register: d.home.Register(), d: d, asked: 1, long: true}
}

// add is called on the lane of the service.
func (r *register) add(name, path string) {
	if err := r.Add(fsstate.Registered{Name: name, Path: path}); err != nil {
		r.d.mail.postLater(func() { r.failed(err) })
	}
}

// failed tries again later: what could not be added is in the list that replaces what was written so far.
func (r *register) failed(err error) {
	if !r.failing {
		r.d.messages.warn("", "%v; after a crash services whose entries are gone are not found again; trying again every %v", err, retakeInterval)
	}
	r.failing, r.long = true, true
	if !r.retrying {
		r.retrying = true
		r.d.host.After(retakeInterval, func() { r.retrying = false; r.shorten() })
	}
}

// unneeded says that a line is not needed any more.
func (r *register) unneeded() {
	r.long = true
	r.shorten()
}

// shorten writes the list anew without what is not needed, but not while a service that is in it is not yet an entry
// that is known as such.
func (r *register) shorten() {
	d := r.d
	if d.stop != nil || d.register != r || r.busy || r.asked > 0 || d.preparing > 0 || !r.long {
		return
	}
	var list []fsstate.Registered
	for _, e := range d.sorted() {
		if e.real != "" {
			list = append(list, fsstate.Registered{Name: e.name, Path: e.real})
		}
	}
	length := r.Length()
	r.busy, r.long = true, false
	d.scan.lane.Do(func() {
		err := r.Shorten(list, length)
		d.mail.postLater(func() {
			if r.busy = false; err != nil {
				r.failed(err)
				return
			}
			r.failing = false
			r.shorten()
		})
	})
}

// findRemoved takes up the services that an earlier upkeep has supervised and that still run, although their
// entries are gone.
func (d *daemon) findRemoved() {
	r := d.register
	d.scan.lane.Do(func() {
		list, err := r.Read()
		d.mail.post(func() {
			if err != nil {
				d.messages.warn("", "%v; services that run and whose entries are gone are not found", err)
			}
			if r.asked = 0; d.host.Crashed {
				for _, s := range slices.Backward(list) {
					r.find(s)
				}
			}
			r.shorten()
		})
	})
}

// find looks whether an earlier service is one that is no entry. Each is looked at by itself, since that may hang.
func (r *register) find(s fsstate.Registered) {
	d := r.d
	r.asked++
	d.host.Pool.NewLane().DoLook(func() {
		id, isDir, err := fsstate.Identify(s.Path)
		d.mail.postLater(func() {
			if r.asked--; err == nil && isDir {
				d.foundRemoved(s, id)
			}
			r.shorten()
		})
	})
}

// survival returns what tells, on the entry's lane, whether its service or its logger was supervised by an earlier
// upkeep and runs; nil where that does not matter.
func (e *entry) survival() (lives func(real string) bool) {
	d := e.d
	if !e.gone || !d.host.Crashed {
		return nil
	}
	main, log := e.superDirs()
	mainGroup, logGroup := e.groups.main, d.groups.ofLogger(e)
	one := func(super, dir string, group *cgroup.Group) bool {
		if super == "" {
			super = filepath.Join(dir, "supervise")
		}
		i, err := fsstate.ReadResume(super)
		switch known := err == nil && i.In(d.host.World); {
		case !known:
			return d.host.Runs(group, dir, 0)
		case i.Pid != 0 && i.Phase != phaseGone:
			return isAlive(i)
		case i.Phase == supervisor.Starting.String(), i.Phase == supervisor.Finishing.String():
			return d.host.Runs(group, dir, i.After) // nobody had the time to say so
		}
		return false
	}
	return func(real string) bool {
		return one(main, real, mainGroup) || one(log, filepath.Join(real, "log"), logGroup)
	}
}

func (d *daemon) foundRemoved(s fsstate.Registered, id fsstate.ID) {
	if d.stop != nil {
		return
	}
	if e := d.entries[id]; e != nil {
		if e.real == "" {
			e.former = s.Path
		}
		return
	}
	e := d.newEntry(s.Name, s.Path, id)
	e.gone = true
	e.prepare()
}
