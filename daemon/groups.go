package daemon

import (
	"fmt"

	"upkeep/cgroup"
	"upkeep/supervisor"
)

// groups gives each service a cgroup of its own, where cgroups can be had.
type groups struct {
	d     *daemon
	tree  *cgroup.Tree // nil where there are none, and before the first service
	tried bool
	names map[string]bool // of the groups of services
	lane  *supervisor.Lane
}

// newGroups fails only if cgroups are required and cannot be had. Otherwise they wait for the first service:
// a container that runs one command alone has no use for them.
func newGroups(d *daemon) (*groups, error) {
	g := &groups{d: d, names: make(map[string]bool), lane: d.host.Pool.NewLane()}
	if d.Cgroup != cgroup.Require {
		return g, nil
	}
	d.host.NeedGroups = true
	if err := g.open(); err != nil {
		return nil, fmt.Errorf("cannot use cgroups, which are required: %w", err)
	}
	return g, nil
}

// open finds the place of the groups, once.
func (g *groups) open() (err error) {
	if g.tried || g.d.Cgroup == cgroup.Off {
		return nil
	}
	g.tried = true
	g.tree, err = cgroup.Open(cgroup.Options{Dir: g.d.CgroupDir, Root: g.d.root})
	return err
}

// of gives a new entry its groups, where there are any. They are made ahead of the service's start.
func (g *groups) of(e *entry) {
	if err := g.open(); err != nil {
		g.d.host.NoGroups = err
		g.d.messages.warn("", "no cgroups: %v; what services leave behind is known by its session and its parent only", err)
	}
	if g.tree == nil {
		return
	}
	e.group = g.name(e)
	e.groups.main = g.tree.Group(e.group, false)
	g.lane.DoGroup(func() { e.groups.main.Make() })
}

// ofLogger returns the group of the entry's logger, or nil.
func (g *groups) ofLogger(e *entry) *cgroup.Group {
	if e.groups.log == nil && e.group != "" {
		e.groups.log = g.tree.Group(e.group, true)
	}
	return e.groups.log
}

// name is the entry's, if no other entry that had this name before has the group still.
func (g *groups) name(e *entry) string {
	name := e.name
	for g.names[name] {
		name += fmt.Sprintf(".%d", e.id.Ino)
	}
	g.names[name] = true
	return name
}

// forget says that the entry needs no group any more. One that never was a service has an empty one.
func (g *groups) forget(e *entry) {
	if e.group == "" {
		return
	}
	delete(g.names, e.group)
	g.lane.DoGroup(func() { e.groups.main.Remove() })
}

// close leaves no group in which nothing runs.
func (g *groups) close() {
	if g.tree != nil {
		g.tree.Close()
	}
}
