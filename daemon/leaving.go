package daemon

import (
	"path/filepath"
	"time"
)

// removed says that the entry is no longer in the root. What runs goes on, as with svscan.
func (e *entry) removed() {
	if e.gone {
		return
	}
	e.gone = true
	switch {
	case e.d.Prune && (e.main != nil || e.log != nil):
		e.left()
		e.follow(func() {})
	case e.main != nil || e.log != nil:
		e.follow(e.left)
	case !e.preparing && !e.again(e.real): // else prepared goes on
		e.forget()
	}
}

// left goes on with a service whose entry is gone.
func (e *entry) left() {
	if e.d.Prune {
		e.d.messages.warn(e.name, "it was removed from %s; it is stopped", e.d.root)
		e.halt()
		return
	}
	at := e.real
	if e.logged && !e.program {
		at += " " + filepath.Join(at, "log")
	}
	e.d.messages.warn(e.name, "it was removed from %s; it is supervised until svc -dx %s", e.d.root, at)
}

func (e *entry) forget() {
	delete(e.d.entries, e.id)
	e.d.register.unneeded()
	e.d.groups.forget(e)
	for _, path := range e.places() {
		e.d.watch.forget(path, e)
	}
	if e.pipe != nil {
		e.pipe.Close()
		e.pipe = nil
	}
}

// halt stops the service and then its logger.
func (e *entry) halt() {
	e.halted = true
	if e.main != nil {
		e.main.Stop()
		return
	}
	e.drain()
}

// drainTime is how long a logger may take to read what is left once it is told of the end.
const drainTime = 3 * time.Second

// drain lets the logger end by itself when it has read all there is; one that does not notice is told
// to.
func (e *entry) drain() {
	if e.pipe == nil {
		return
	}
	if log := e.log; log != nil {
		log.Drain()
		e.d.host.After(drainTime, log.Stop)
	} else {
		e.pipe.Close()
	}
	e.pipe = nil
}
