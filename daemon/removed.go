package daemon

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"upkeep/fsstate"
)

// recordRemoved lets an upkeep that is started after a crash find the services whose entries are gone.
func (d *daemon) recordRemoved() {
	if d.stop != nil {
		return
	}
	var text []byte
	for _, e := range d.sorted() {
		if e.gone && e.real != "" {
			text = fmt.Appendf(text, "%q %q\n", e.name, e.real)
		}
	}
	home := d.home
	d.scan.lane.Do(func() {
		if err := home.Write(fsstate.HomeRemoved, text); err != nil {
			d.messages.warn("", "%v; after a crash services whose entries are gone are not found again", err)
		}
	})
}

// findRemoved takes up the services that an earlier upkeep has gone on with although their entries were gone,
// if they still run.
func (d *daemon) findRemoved() {
	if !d.host.Crashed {
		return
	}
	home, world := d.home, d.host.World
	d.scan.lane.Do(func() {
		text, _ := home.Read(fsstate.HomeRemoved)
		for line := range strings.Lines(string(text)) {
			name, path, ok := parseRemoved(line)
			if !ok {
				continue
			}
			id, isDir, err := fsstate.Identify(path)
			if err != nil || !isDir || !d.lives(path, name, world) {
				continue
			}
			d.mail.post(func() { d.foundRemoved(name, path, id) })
		}
	})
}

func parseRemoved(line string) (name, path string, ok bool) {
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
func (d *daemon) lives(path, name, world string) bool {
	supers := []string{filepath.Join(path, "supervise"), filepath.Join(path, "log", "supervise")}
	if d.State != "" {
		supers = []string{filepath.Join(d.State, name, "supervise"), filepath.Join(d.State, name, "log", "supervise")}
	}
	for _, super := range supers {
		if i, err := fsstate.ReadResume(super); err == nil && i.World == world && i.Pid != 0 && isAlive(i) {
			return true
		}
	}
	return false
}

func (d *daemon) foundRemoved(name, path string, id fsstate.ID) {
	if d.stop != nil || d.entries[id] != nil {
		return
	}
	e := d.newEntry(name, path, id)
	e.gone = true
	e.prepare()
}
