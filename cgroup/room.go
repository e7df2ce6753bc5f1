package cgroup

import (
	"path/filepath"
	"strconv"
	"strings"
)

// Room returns how many more processes and threads the groups allow that this process is in. It is false where
// there is no limit, or none that can be seen.
func Room() (room int, limited bool) { return thisHost().room() }

func (h host) room() (room int, limited bool) {
	mounts, v1, v2, err := h.read()
	if err != nil {
		return 0, false
	}
	places := candidates(mounts, v2, func(m mount) bool { return m.unified })
	if path, ok := v1["pids"]; ok {
		places = candidates(mounts, path, func(m mount) bool { return m.has("pids") })
	}
	for _, p := range places {
		if room, limited := p.room(); limited && h.in(p.dir) {
			return room, true
		}
	}
	return 0, false
}

// room is the least of a group and those above it.
func (p place) room() (room int, limited bool) {
	for dir := p.dir; ; dir = filepath.Dir(dir) {
		if n, ok := roomIn(dir); ok && (!limited || n < room) {
			room, limited = n, true
		}
		if len(dir) <= len(p.point) {
			return room, limited
		}
	}
}

// roomIn looks at one group. The root of the hierarchy has no limit.
func roomIn(dir string) (room int, limited bool) {
	read := func(name string) (int, error) {
		text, err := readFile(filepath.Join(dir, name))
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(string(text)))
	}
	most, err1 := read("pids.max") // or "max"
	now, err2 := read("pids.current")
	return most - now, err1 == nil && err2 == nil
}
