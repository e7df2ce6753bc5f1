package daemon

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"upkeep/fsstate"
	"upkeep/supervisor"
)

// A sequence knows which services wait for which.
type sequence struct {
	d       *daemon
	held    map[*entry]bool // those that wait
	due     bool            // that they look again
	cycles  map[string]bool // that were reported
	without map[string][]string
	names   map[string]string // of the services, by their paths; nil if that is to be found out
	stale   bool              // without is, because a definition has changed
}

func newSequence(d *daemon) *sequence {
	return &sequence{d: d, held: make(map[*entry]bool), cycles: make(map[string]bool), stale: true}
}

// of returns what the start of an entry's service waits for.
func (o *sequence) of(e *entry) supervisor.Order {
	return func(after []string, trigger fsstate.Trigger) (waiting string, free bool) {
		o.look()
		ignored := o.without[e.name]
		for _, name := range after {
			if !slices.Contains(ignored, name) {
				if why := o.missing(name); why != "" {
					return name + ", which " + why, false
				}
			}
		}
		name, ok := o.triggering(trigger)
		return "", ok && slices.Contains(ignored, name)
	}
}

// missing tells what keeps those waiting who come after the service of that name, to be read after it.
func (o *sequence) missing(name string) string {
	e := o.d.named(name)
	switch {
	case e == nil:
		return "is not there"
	case e.main == nil:
		return "is not supervised"
	case !e.main.Arrived(), !o.recorded(e):
		return fmt.Sprintf("is %v", e.main.State().Phase)
	}
	return ""
}

// recordPatience is how long those that wait do so for a status to be written. Its file system may hang.
const recordPatience = time.Second

// recorded tells whether those that come after a service can read in its status what it is. If not, they look again
// when they can.
func (o *sequence) recorded(e *entry) bool {
	if e.hastened.IsZero() {
		if !e.main.Hasten(func() { e.hastened = time.Time{}; o.again() }) {
			return true
		}
		e.hastened = time.Now()
		o.d.host.After(recordPatience, o.again)
	}
	return time.Since(e.hastened) > recordPatience
}

// triggering is the service whose status a trigger looks at, if it is one of this root.
func (o *sequence) triggering(t fsstate.Trigger) (name string, ok bool) {
	if t == "" {
		return "", false
	}
	dir, ok := t.Service()
	if !ok {
		return "", false
	}
	if o.names == nil {
		o.names = make(map[string]string)
		for _, e := range o.d.entries {
			o.names[e.path], o.names[e.real] = e.name, e.name
		}
	}
	name, ok = o.names[filepath.Clean(dir)]
	return name, ok
}

// waits are all services that wait for others.
func (o *sequence) waits() map[string][]string {
	all := make(map[string][]string)
	for _, e := range o.d.entries {
		if e.main == nil {
			continue
		}
		after, trigger := e.main.Waits()
		if name, ok := o.triggering(trigger); ok {
			after = append(slices.Clip(after), name)
		}
		if len(after) > 0 {
			all[e.name] = after
		}
	}
	return all
}

// look finds the cycles, and says so once of each.
func (o *sequence) look() {
	if !o.stale {
		return
	}
	o.stale, o.names = false, nil
	o.without = make(map[string][]string)
	for _, c := range fsstate.Cycles(o.waits()) {
		for name, others := range c.Ignored {
			o.without[name] = append(o.without[name], others...)
		}
		if text := c.String(); !o.cycles[text] {
			o.cycles[text] = true
			o.d.messages.warn("", "%s: a cycle; they are started in the order of their names", text)
		}
	}
}

// moved says that a service is in another phase.
func (o *sequence) moved(e *entry) {
	if e.main == nil {
		delete(o.held, e)
	} else {
		if after, trigger := e.main.Waits(); trigger != e.trigger || !slices.Equal(after, e.after) {
			e.after, e.trigger, o.stale = after, trigger, true
		}
		if e.main.State().Held {
			o.held[e] = true
		} else {
			delete(o.held, e)
		}
	}
	o.again()
}

// again has all that wait look again.
func (o *sequence) again() {
	if len(o.held) > 0 && !o.due {
		o.due = true
		o.d.mail.post(o.reconsider)
	}
}

// reconsider has all that wait look again, in the order of their names.
func (o *sequence) reconsider() {
	o.due = false
	for _, e := range o.d.sorted() {
		if o.held[e] && e.main != nil {
			e.main.Reconsider()
		}
	}
}

// followers returns for each service those that come after it and are still supervised.
func (o *sequence) followers() map[string][]string {
	o.stale = true
	o.look()
	all := make(map[string][]string)
	for name, others := range o.waits() {
		for _, other := range others {
			if !slices.Contains(o.without[name], other) {
				all[other] = append(all[other], name)
			}
		}
	}
	return all
}

// named finds the entry of a name.
func (d *daemon) named(name string) *entry {
	for _, e := range d.entries {
		if e.name == name && !e.gone {
			return e
		}
	}
	return nil
}
