package cgroup

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// v1Limits are the limits that can be had of a v1 hierarchy.
var v1Limits = []string{"memory.max", "pids.max", "cpu.max"}

func v1Has(name string) bool { return slices.Contains(v1Limits, name) }

// v1dir returns where the group of a service is in the v1 hierarchy of a controller, below the group that
// upkeep was started in there. A logger has none.
func (g *Group) v1dir(controller string) (dir string, ok bool) {
	if filepath.Base(g.leaf) != "run" {
		return "", false
	}
	base, ok := g.tree.v1base(controller)
	return filepath.Join(base, filepath.Base(g.parent())), ok
}

// v1base returns what BASE is in the v1 hierarchy of a controller. It is looked for when it is needed first.
func (t *Tree) v1base(controller string) (base string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	base, known := t.v1[controller]
	if !known {
		for _, p := range t.host.findV1(controller) {
			if t.host.in(p.dir) {
				base = filepath.Join(p.dir, tagPrefix+t.name)
				break
			}
		}
		if t.v1 == nil {
			t.v1 = make(map[string]string)
		}
		t.v1[controller] = base
	}
	return base, base != ""
}

// closeV1 removes the groups in which nothing is any more, those of an earlier upkeep too.
func (t *Tree) closeV1() {
	for _, limit := range v1Limits {
		controller, _, _ := strings.Cut(limit, ".")
		for _, p := range t.host.findV1(controller) {
			each(filepath.Join(p.dir, tagPrefix+t.name), func(path string) { rmdir(path) })
		}
	}
}

// makeV1 makes the group in a v1 hierarchy. Those that run already are moved there; a new process has to
// be, see V1Procs.
func (g *Group) makeV1(controller, dir string) error {
	err := mkdir(dir)
	if err == unix.ENOENT {
		if err := mkdir(filepath.Dir(dir)); err != nil && err != unix.EEXIST {
			return &OpError{"make", filepath.Dir(dir), err}
		}
		err = mkdir(dir)
	}
	if err != nil && err != unix.EEXIST {
		return &OpError{"make", dir, err}
	}
	if g.v1 == nil {
		g.v1 = make(map[string]bool)
	}
	g.v1[controller] = true
	if err == unix.EEXIST {
		return nil
	}
	for range rounds {
		pids, err := g.Pids()
		if err != nil {
			return err
		}
		there, err := pidsOf(dir)
		if err != nil {
			return err
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return slices.Contains(there, pid) })
		if len(pids) == 0 || move(pids, dir) == 0 {
			break
		}
	}
	return nil
}

// setV1 writes a limit, worded as for v2, to a group of a v1 hierarchy.
func setV1(dir, name, text string) error {
	set := func(file, text string) error { return writeFile(filepath.Join(dir, file), text) }
	unlimited := func(text string) string {
		if text == "max" {
			return "-1"
		}
		return text
	}
	switch name {
	case "pids.max":
		return set(name, text)
	case "memory.max":
		return set("memory.limit_in_bytes", unlimited(text))
	}
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > 2 {
		return unix.EINVAL
	}
	// What the quota is of must not be refused for the sake of the old one.
	err := set("cpu.cfs_quota_us", "-1")
	if err == nil && len(words) == 2 {
		err = set("cpu.cfs_period_us", words[1])
	}
	return errors.Join(err, set("cpu.cfs_quota_us", unlimited(words[0])))
}

// V1Procs returns the files to which a process of the service has to write "0" before it executes anything,
// because it cannot be born in groups of v1 hierarchies; nil where it has none, which Limits decides.
func (g *Group) V1Procs() []string {
	var paths []string
	for _, controller := range slices.Sorted(maps.Keys(g.v1)) {
		if dir, ok := g.v1dir(controller); ok {
			paths = append(paths, filepath.Join(dir, procs))
		}
	}
	return paths
}
