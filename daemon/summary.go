package daemon

import (
	"fmt"

	"upkeep/supervisor"
)

// summary is what the service manager shows of the daemon, in one line.
func (d *daemon) summary() string {
	up := 0
	for _, e := range d.entries {
		if e.up() {
			up++
		}
	}
	text := fmt.Sprintf("%d services, %d up, %d down", len(d.entries), up, len(d.entries)-up)
	if len(d.entries) == 1 {
		text = fmt.Sprintf("1 service, %d up, %d down", up, 1-up)
	}
	switch {
	case d.stop != nil:
		return "stopping; " + text
	case d.scan.missing:
		return "cannot read the root; " + text
	}
	return text
}

// up tells whether the service has a process, or is up without one.
func (e *entry) up() bool {
	if e.main == nil {
		return false
	}
	switch e.main.State().Phase {
	case supervisor.Up, supervisor.Ready, supervisor.Stopping, supervisor.Done:
		return true
	}
	return false
}

// tried tells whether there is nothing to wait for: the service was started, cannot be, or is not to be.
func (e *entry) tried() bool {
	switch {
	case e.preparing, e.waiting:
		return false
	case e.main == nil: // refused, or let go
		return true
	}
	return e.main.Tried()
}

// starts lists what is being started: every service, and the main command.
func (d *daemon) starts() (list []func() bool) {
	for _, e := range d.entries {
		list = append(list, e.tried)
	}
	if c := d.command; c != nil {
		list = append(list, func() bool { return c.pid != 0 || !c.running })
	}
	return list
}
