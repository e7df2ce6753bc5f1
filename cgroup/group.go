package cgroup

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Group is what a service, or its logger, and all that it starts are in. It is made when it is wanted,
// and can be made and removed again and again.
type Group struct {
	tree *Tree
	leaf string // BASE/NAME/run or BASE/NAME/log

	making sync.Mutex
	fresh  bool              // the leaf was just made: whoever makes it next need not look
	limits map[string]string // what was written to which file
	kept   bool              // the leaf was there already, with limits that are not in limits
	v1     map[string]bool   // the v1 controllers that have a group for this one
	killed atomic.Bool       // Kill was called
	deadly bool              // what is born in it may be killed, see Renew
}

// Group returns the group of a service, or of its logger. Distinct services have distinct groups, whatever
// their names are. Nothing is made yet.
func (t *Tree) Group(service string, logger bool) *Group {
	kind := "run"
	if logger {
		kind = "log"
	}
	return &Group{tree: t, leaf: t.base + "/" + escape(service) + "/" + kind, kept: true}
}

// Path returns the absolute path of the leaf, in which a process is to be born.
func (g *Group) Path() string { return g.leaf }

func (g *Group) parent() string { return g.leaf[:strings.LastIndexByte(g.leaf, '/')] }

// Make makes the group, unless it is there, and tells whether it is older than this Group. Unlike all else
// it may be called by several goroutines.
func (g *Group) Make() (found bool, err error) {
	g.making.Lock()
	defer g.making.Unlock()
	if g.fresh {
		g.fresh = false
		return false, nil
	}
	// The group of the logger is removed with the parent, perhaps between our two calls.
	const tries = 10
	for try := 1; ; try++ {
		if g.kept || try > 1 { // else it was there, and most probably is
			if err := mkdir(g.parent()); err != nil && err != unix.EEXIST {
				return false, &OpError{"make", g.parent(), err}
			}
		}
		err := mkdir(g.leaf)
		switch {
		case err == nil:
			g.limits, g.kept, g.fresh = nil, false, true
			return false, nil
		case err == unix.EEXIST:
			return g.kept, nil
		case err != unix.ENOENT || try == tries:
			return false, &OpError{"make", g.leaf, err}
		}
	}
}

// Renew removes a group that was killed, or may have been by an earlier upkeep, so that Make makes another
// one, and tells whether it did. Kernels like 6.18 kill whatever is born from outside in a group that was ever
// killed by cgroup.kill: the fork compares how often that was with how often it was in the parent's own group.
// Who is moved there is safe, and that is the way while something still lives in the group.
func (g *Group) Renew() bool {
	g.making.Lock()
	defer g.making.Unlock()
	if !g.killed.Load() && !g.kept {
		g.deadly = false
		return false
	}
	there := exists(g.leaf)
	g.deadly = there && g.Remove() != nil
	renewed := there && !exists(g.leaf)
	g.killed.Store(g.deadly)
	return renewed
}

// Doubt says that somebody else may have killed the group.
func (g *Group) Doubt() { g.killed.Store(true) }

// Birth returns the group in which a process of the service is to be born, or "", and the files to which it
// has to write "0" before it executes anything.
func (g *Group) Birth() (dir string, join []string) {
	if g.deadly {
		return "", append([]string{filepath.Join(g.leaf, procs)}, g.V1Procs()...)
	}
	return g.leaf, g.V1Procs()
}

// Populated tells whether a process is in the group. None is in one that does not exist.
func (g *Group) Populated() (bool, error) { return populated(g.leaf) }

func populated(dir string) (bool, error) {
	path := filepath.Join(dir, "cgroup.events")
	text, err := readFile(path)
	if gone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	n, ok := value(text, "populated")
	if !ok {
		return false, &OpError{"understand", path, unix.EINVAL}
	}
	return n != 0, nil
}

// gone tells whether an error means that the group does not exist, or no longer.
func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) }

// Pids returns the processes of the group and of those that the service has made in it. Dead ones that
// nobody has reaped are not among them.
func (g *Group) Pids() ([]int, error) { return pidsOf(g.leaf) }

func pidsOf(dir string) (pids []int, err error) {
	each(dir, func(path string) {
		list, e := readPids(filepath.Join(path, procs))
		// The threads of a threaded group belong to processes that are listed above it.
		if e != nil && !gone(e) && !errors.Is(e, unix.EOPNOTSUPP) {
			err = e
		}
		pids = append(pids, list...)
	})
	return pids, err
}

// Freeze stops everything in the group, or lets it go on. It does not wait until all have stopped.
func (g *Group) Freeze(frozen bool) error {
	text := "0"
	if frozen {
		text = "1"
	}
	return writeFile(filepath.Join(g.leaf, "cgroup.freeze"), text)
}

// OOMKills returns how many processes of the group the kernel has killed for want of memory since the
// group was made; 0 where it does not count them.
func (g *Group) OOMKills() (uint64, error) {
	// Without a limit of its own the group is counted with its parent.
	paths := []string{filepath.Join(g.leaf, memoryEvents), filepath.Join(g.parent(), memoryEvents)}
	if g.v1["memory"] {
		dir, _ := g.v1dir("memory")
		paths = append(paths, filepath.Join(dir, "memory.oom_control"))
	}
	for _, path := range paths {
		text, err := readFile(path)
		if gone(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		n, _ := value(text, "oom_kill")
		return n, nil
	}
	return 0, nil
}

const memoryEvents = "memory.events"

// Remove removes the group with the groups that the service has left in it, and the service's node when
// nothing is left there. That it does not exist is no error. The error wraps ErrPopulated where something
// lives in it.
func (g *Group) Remove() error {
	if err := remove(g.leaf); err != nil {
		return err
	}
	g.limits, g.kept, g.fresh = nil, true, false
	for controller := range g.v1 {
		dir, _ := g.v1dir(controller)
		if err := remove(dir); err != nil {
			return err
		}
	}
	g.v1 = nil
	rmdir(g.parent()) // it may hold the other leaf
	return nil
}

// remove removes the group at dir and all in it.
func remove(dir string) error {
	err := rmdir(dir)
	if err == unix.EBUSY {
		for _, sub := range subgroups(dir) {
			if err := remove(sub); err != nil {
				return err
			}
		}
		err = rmdir(dir)
	}
	switch err {
	case nil, unix.ENOENT:
		return nil
	case unix.EBUSY:
		return &OpError{"remove", dir, ErrPopulated}
	}
	return &OpError{"remove", dir, err}
}
