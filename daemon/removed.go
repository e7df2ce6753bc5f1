package daemon

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"upkeep/fsstate"
)

// recordDelay is how long the list of services waits for further changes.
const recordDelay = 100 * time.Millisecond

// recordServices lets an upkeep that is started after a crash find the services whose entries are gone by then.
func (d *daemon) recordServices() {
	if d.stop != nil || d.recording {
		return
	}
	d.recording = true
	d.host.After(recordDelay, func() {
		d.recording = false
		switch {
		case d.stop != nil:
		case !d.scan.complete: // what an earlier upkeep has written is still to be read
			d.recordServices()
		default:
			d.writeServices()
		}
	})
}

func (d *daemon) writeServices() {
	var text []byte
	for _, e := range d.sorted() {
		if e.real != "" {
			text = fmt.Appendf(text, "%q %q\n", e.name, e.real)
		}
	}
	home := d.home
	d.scan.lane.Do(func() {
		if err := home.Write(fsstate.HomeServices, text); err != nil {
			d.messages.warn("", "%v; after a crash services whose entries are gone are not found again", err)
		}
	})
}

// findRemoved takes up the services that an earlier upkeep has supervised and that still run, although their
// entries are gone.
func (d *daemon) findRemoved() {
	if !d.host.Crashed {
		return
	}
	home := d.home
	d.scan.lane.Do(func() {
		text, _ := home.Read(fsstate.HomeServices)
		for line := range strings.Lines(string(text)) {
			name, path, ok := parseService(line)
			if !ok {
				continue
			}
			if id, isDir, err := fsstate.Identify(path); err == nil && isDir {
				d.mail.postLater(func() { d.foundRemoved(name, path, id) })
			}
		}
	})
}

func parseService(line string) (name, path string, ok bool) {
	quoted, err := strconv.QuotedPrefix(line)
	if err != nil {
		return "", "", false
	}
	rest := strings.TrimSpace(line[len(quoted):])
	name, err = strconv.Unquote(quoted)
	if err != nil {
		return "", "", false
	}
	path, err = strconv.Unquote(rest)
	return name, path, err == nil && filepath.IsAbs(path)
}

// lives tells whether the service or its logger was supervised and runs.
func (d *daemon) lives(path, name string) bool {
	supers := []string{filepath.Join(path, "supervise"), filepath.Join(path, "log", "supervise")}
	if d.State != "" {
		supers = []string{filepath.Join(d.State, name, "supervise"), filepath.Join(d.State, name, "log", "supervise")}
	}
	for _, super := range supers {
		if i, err := fsstate.ReadResume(super); err == nil && d.ours(i) && i.Pid != 0 && isAlive(i) {
			return true
		}
	}
	return false
}

func (d *daemon) foundRemoved(name, path string, id fsstate.ID) {
	if d.stop != nil {
		return
	}
	if e := d.entries[id]; e != nil {
		if e.real == "" {
			e.former = path
		}
		return
	}
	e := d.newEntry(name, path, id)
	e.gone = true
	e.prepare()
}
