package daemon

import (
	"fmt"
	"os"
	"strings"
	"time"

	"upkeep/fsstate"
)

// listen hears the orders of upkeep ctl.
func (d *daemon) listen() {
	fd, err := d.home.Listen()
	if err == nil {
		err = d.host.Controls.Add(fd, func(batch []byte) {
			text := string(batch)
			// Somebody waits for the answer, and a thousand services may be being taken up.
			d.mail.postFirst(func() {
				for line := range strings.Lines(text) {
					if verb, reply, ok := fsstate.ParseOrder(line); ok {
						d.order(verb, reply)
					}
				}
			})
		})
	}
	if err != nil && d.home != nil {
		d.messages.warn("", "%v; upkeep ctl is not heard, signals are", err)
	}
}

func (d *daemon) order(verb, reply string) {
	switch verb {
	case "status":
		d.home.Answer(reply, d.status())
	case "rescan":
		d.notify.reloading()
		d.rescan()
		d.home.Answer(reply, "the root is being read\n")
	case "upgrade":
		d.upgrade(reply)
	case "stop":
		d.stopAll(nil, d.StopTimeout)
		d.home.Answer(reply, "everything is being stopped\n")
	default:
		failOrder(verb)
		d.home.Refuse(reply, "this version knows no order "+verb)
	}
}

// status is how the daemon is, a line for each key and its value.
func (d *daemon) status() string {
	return fmt.Sprintf("root %s\npid %d\nsince %s\nservices %s\nresumed %d\nprogram %s\n",
		printable(d.root), os.Getpid(), d.since.UTC().Format(time.RFC3339), d.summary(), d.resumes, printable(d.program))
}
