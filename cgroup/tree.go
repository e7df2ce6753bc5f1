package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Options say where a Tree is to be.
type Options struct {
	// Dir is a directory of the unified hierarchy that is for this Tree, made where it is missing. Empty
	// means the group in which upkeep was started.
	Dir string
	// Root tells this Tree from others that may be in the same place: the absolute path of the service
	// root. It has to be the same when upkeep is started again.
	Root string
}

// A Tree is upkeep's part of the hierarchy:
//
//	BASE/supervisor   upkeep itself
//	BASE/NAME/run     a service
//	BASE/NAME/log     its logger
//
// BASE is the place of the Options where that is ours alone: Dir, the top of what a container sees, what
// systemd has delegated, or any group in which nobody else is. The first upkeep there leaves a mark (an
// extended attribute) by which it knows the place again, and others know that it is taken. Anywhere else,
// as in the root of the machine's hierarchy or in somebody's login session, BASE is a group of its own in
// that place, called upkeep- and what Root makes of it.
type Tree struct {
	host   host
	name   string // what Root makes of it
	base   string
	place  string // BASE, or what it was made in
	origin string // where this process is to go at the end
	watch  watcher

	mu          sync.Mutex
	controllers map[string]error  // those that were asked for: why they cannot be had
	v1          map[string]string // what BASE is in the v1 hierarchies that were asked for, by controller; or ""
}

// Open finds the place, makes BASE and BASE/supervisor, and moves upkeep there; where BASE is a place that
// was found, everything that is in it, because the kernel wants the processes at the leaves. The error says
// in a line why there can be no cgroups.
func Open(o Options) (*Tree, error) { return thisHost().open(o) }

func (h host) open(o Options) (*Tree, error) {
	own, err := h.find()
	if o.Dir == "" && err != nil {
		return nil, err
	}
	t := &Tree{host: h, name: tag(o.Root), origin: own.dir, controllers: make(map[string]error)}
	if err := t.settle(o, own); err != nil {
		return nil, explain(err)
	}
	if t.origin == filepath.Join(t.base, supervisorName) || t.origin == "" {
		t.origin = t.place
	}
	if err := t.occupy(); err != nil {
		if t.base != t.place || len(subgroups(t.base)) == 0 { // those of an earlier upkeep hang on the mark
			t.leave()
		}
		return nil, explain(err)
	}
	// What svstat shows is counted for each service; other controllers wait until a limit needs them.
	for _, controller := range []string{"memory", "pids"} {
		t.enable(controller)
	}
	return t, nil
}

// explain names the file system where that is the reason.
func explain(err error) error {
	var op *OpError
	if errors.As(err, &op) && errors.Is(err, unix.EROFS) {
		for dir := op.Path; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
			if d := device(dir); d != 0 && d != device(filepath.Dir(dir)) {
				return fmt.Errorf("%s is mounted read-only", dir)
			}
		}
	}
	return err
}

// device returns the number of the file system that path is on, 0 where there is no such path.
func device(path string) uint64 {
	var st unix.Stat_t
	if ignoreEINTR(func() error { return unix.Stat(path, &st) }) != nil {
		return 0
	}
	return st.Dev
}

// settle decides on place and base.
func (t *Tree) settle(o Options, own place) error {
	h, name := t.host, t.name
	alone := false
	switch {
	case o.Dir != "":
		dir, err := filepath.Abs(o.Dir)
		if err != nil {
			return &OpError{"find", o.Dir, err}
		}
		made := mkdir(dir)
		if made != nil && made != unix.EEXIST {
			return &OpError{"make", dir, made}
		}
		if !exists(filepath.Join(dir, "cgroup.controllers")) {
			if made == nil {
				rmdir(dir)
			}
			return fmt.Errorf("%s is no directory of the unified cgroup hierarchy", dir)
		}
		t.place, alone = dir, true
	default:
		t.place = outer(own.dir, name)
		alone = t.place == own.point || h.pid == 1 || delegated(t.place) || h.only(t.place)
	}
	if t.place != own.dir && filepath.Base(t.place) == tagPrefix+name {
		t.base, t.place = t.place, filepath.Dir(t.place)
		return nil
	}
	// What the real root of the hierarchy lacks.
	top := !exists(filepath.Join(t.place, "cgroup.events"))
	if claim := mark(t.place); !top && (claim == name || alone && claim == "" && setMark(t.place, name)) {
		t.base = t.place
		return nil
	}
	t.base = filepath.Join(t.place, tagPrefix+name)
	if err := mkdir(t.base); err != nil && err != unix.EEXIST {
		return &OpError{"make", t.base, err}
	}
	return nil
}

// outer returns the place of whoever is in the supervisor group of a Tree, this one's of old or another
// one's; else dir itself.
func outer(dir, name string) string {
	if filepath.Base(dir) != supervisorName {
		return dir
	}
	parent := filepath.Dir(dir)
	switch base := filepath.Base(parent); {
	case base == tagPrefix+name:
		return parent
	case strings.HasPrefix(base, tagPrefix) && mark(parent) == "":
		return filepath.Dir(parent)
	case mark(parent) != "", delegated(parent):
		return parent
	}
	return dir
}

// only tells whether nobody but this process is in the group.
func (h host) only(dir string) bool {
	pids, err := readPids(filepath.Join(dir, "cgroup.procs"))
	return err == nil && slices.Equal(pids, []int{h.pid})
}

// Everyone who may write to a group can set attributes of the first kind since Linux 5.7, and root can
// set those of the second kind on older ones.
var attributeKinds = []string{"user.", "trusted."}

func attribute(dir, name string) string {
	buf := make([]byte, 128)
	for _, kind := range attributeKinds {
		if n, err := unix.Getxattr(dir, kind+name, buf); err == nil {
			return string(buf[:n])
		}
	}
	return ""
}

// delegated tells whether systemd has left the group to us.
func delegated(dir string) bool { return attribute(dir, "delegate") == "1" }

// mark returns the tag of the Tree whose base dir is.
func mark(dir string) string { return attribute(dir, "upkeep") }

// setMark makes dir the base of a Tree, unless another one is faster.
func setMark(dir, tag string) bool {
	for _, kind := range attributeKinds {
		switch unix.Setxattr(dir, kind+"upkeep", []byte(tag), unix.XATTR_CREATE) {
		case nil:
			return true
		case unix.EEXIST:
			return mark(dir) == tag
		}
	}
	return false
}

func clearMark(dir string) {
	for _, kind := range attributeKinds {
		unix.Removexattr(dir, kind+"upkeep")
	}
}

// occupy moves this process into BASE/supervisor, and everybody else out of the inner group that BASE is.
func (t *Tree) occupy() error {
	self := filepath.Join(t.base, supervisorName)
	rmdir(self) // an upkeep that was killed with it may have left it, see Renew
	if err := mkdir(self); err != nil && err != unix.EEXIST {
		return &OpError{"make", self, err}
	}
	if err := writeFile(filepath.Join(self, procs), "0"); err != nil {
		rmdir(self)
		return err
	}
	if t.base == t.place {
		t.clear(self)
	}
	return nil
}

// leave gives BASE up.
func (t *Tree) leave() {
	if t.base == t.place {
		clearMark(t.base)
	} else {
		rmdir(t.base)
	}
}

const procs = "cgroup.procs"

// clear moves what is in BASE to the group at self. Processes may come while it does.
func (t *Tree) clear(self string) {
	const rounds = 10
	for range rounds {
		pids, err := readPids(filepath.Join(t.base, procs))
		if err != nil || len(pids) == 0 || move(pids, self) == 0 {
			return
		}
	}
}

// move moves processes to another group and says how many it did.
func move(pids []int, dir string) (moved int) {
	for _, pid := range pids {
		if writeFile(filepath.Join(dir, procs), fmt.Sprint(pid)) == nil {
			moved++
		}
	}
	return moved
}

// Base returns the directory that holds the groups of all services.
func (t *Tree) Base() string { return t.base }

// Close removes the groups in which nothing is any more, and moves upkeep back to where it was. What still
// runs keeps its group and its limits. No function given to WhenEmpty is called once Close has returned.
func (t *Tree) Close() error {
	t.watch.close()
	self := filepath.Join(t.base, supervisorName)
	left := false
	for _, dir := range subgroups(t.base) {
		if dir == self {
			continue
		}
		// Other upkeeps' trees may be here, with groups that are not populated yet.
		for _, leaf := range []string{"run", "log"} {
			if dir := filepath.Join(dir, leaf); exists(dir) {
				each(dir, func(path string) { rmdir(path) })
			}
		}
		left = left || rmdir(dir) != nil
	}
	t.closeV1()
	if left && t.base == t.place {
		// The limits of what is left hang on BASE being what it is.
		return nil
	}
	t.disable()
	pids, err := readPids(filepath.Join(self, procs))
	if err != nil && !gone(err) {
		return err
	}
	others := slices.DeleteFunc(pids, func(pid int) bool { return pid == t.host.pid })
	moved := move([]int{t.host.pid}, t.origin) == 1
	// Who was found in the place, or came there since, stays in it.
	home := t.origin
	if t.base == t.place {
		home = t.place
	}
	// That this is not allowed is no news: in a container, or below systemd, the group above is not ours.
	if move(others, home) < len(others) || !moved || exists(self) && rmdir(self) != nil {
		return nil
	}
	t.leave()
	return nil
}
