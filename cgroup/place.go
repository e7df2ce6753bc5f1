package cgroup

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/cgroups/v3"
)

// A mount is a line of mountinfo that is about cgroups.
type mount struct {
	root    string // the group that is mounted, in the words of /proc/self/cgroup
	point   string // where
	unified bool
	options []string // of a v1 hierarchy: its controllers among others
}

// parseMounts finds the mounted hierarchies in the text of /proc/self/mountinfo. What hides others by
// being mounted over them comes later.
func parseMounts(text []byte) []mount {
	mounts := []mount{}
	for line := range bytes.Lines(text) {
		before, after, ok := strings.Cut(strings.TrimSpace(string(line)), " - ")
		first, last := strings.Fields(before), strings.Fields(after)
		if !ok || len(first) < 6 || len(last) < 3 {
			continue
		}
		kind := last[0]
		if kind != "cgroup" && kind != "cgroup2" {
			continue
		}
		mounts = append(mounts, mount{
			root: unescapeMount(first[3]), point: unescapeMount(first[4]),
			unified: kind == "cgroup2", options: strings.Split(last[2], ","),
		})
	}
	return mounts
}

// unescapeMount undoes the \040 of mountinfo.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		const digits = 3
		if s[i] == '\\' && i+digits < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+1+digits], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += digits
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// has tells whether it is the v1 hierarchy of a controller.
func (m mount) has(controller string) bool {
	return !m.unified && slices.Contains(m.options, controller)
}

// below returns where in the file system the group called path is, and whether it is in what is mounted.
func (m mount) below(path string) (dir string, ok bool) {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(m.root, "/"))
	if rest != "" && rest[0] != '/' || slices.Contains(strings.Split(rest, "/"), "..") {
		ok = false
	}
	return filepath.Join(m.point, rest), ok
}

// A place is where this process is in a hierarchy.
type place struct {
	dir   string
	point string // of the mount that dir is on
}

// A host is where to look for the place.
type host struct {
	proc string // /proc/self
	pid  int
	mode func() cgroups.CGMode
}

func thisHost() host { return host{"/proc/self", os.Getpid(), cgroups.Mode} }

var (
	errNone  = errors.New("no cgroup file system is mounted")
	errNoV2  = errors.New("only version 1 of cgroups is mounted, where a group cannot be killed")
	errWhere = errors.New("the cgroup that upkeep is in is not below what is mounted")
)

// find returns the place in the unified hierarchy.
func (h host) find() (place, error) {
	mounts, _, path, err := h.read()
	if mounts == nil && err != nil {
		return h.findWithoutProc()
	}
	if err != nil {
		return place{}, err
	}
	unified := func(m mount) bool { return m.unified }
	for _, p := range candidates(mounts, path, unified) {
		if h.in(p.dir) {
			return p, nil
		}
	}
	switch {
	case slices.ContainsFunc(mounts, unified):
		return place{}, errWhere
	case len(mounts) > 0:
		return place{}, errNoV2
	}
	return place{}, errNone
}

// findV1 returns where the place may be in the v1 hierarchy that has a controller. Only in tells whether it
// is there, and takes long where there are many processes.
func (h host) findV1(controller string) []place {
	mounts, paths, _, err := h.read()
	path, ok := paths[controller]
	if err != nil || !ok {
		return nil
	}
	return candidates(mounts, path, func(m mount) bool { return m.has(controller) })
}

// read returns what is mounted, nil where that cannot be known, and the paths of the groups that this process
// is in, in the v1 hierarchies by controller.
func (h host) read() (mounts []mount, v1 map[string]string, v2 string, err error) {
	text, err := readFile(filepath.Join(h.proc, "mountinfo"))
	if err != nil {
		return nil, nil, "", err
	}
	mounts = parseMounts(text)
	v1, v2, err = groupsOf(h.proc)
	return mounts, v1, v2, err
}

// groupsOf returns the paths of the groups that a process is in whose directory in /proc is given.
func groupsOf(proc string) (v1 map[string]string, v2 string, err error) {
	file := filepath.Join(proc, "cgroup")
	if v1, v2, err = cgroups.ParseCgroupFileUnified(file); err != nil {
		err = &OpError{"read", file, err}
	}
	return v1, v2, err
}

// candidates are the directories that may be the group called path, in which this process is. The path need
// not mean anything here: where a namespace hides what is above it, it begins with /.., and a container may
// have the group mounted under another name. So the kernel is to be asked.
func candidates(mounts []mount, path string, fits func(mount) bool) (places []place) {
	for _, m := range slices.Backward(mounts) {
		if !fits(m) {
			continue
		}
		if dir, ok := m.below(path); ok {
			places = append(places, place{dir, m.point})
		}
		places = append(places, place{m.point, m.point})
	}
	return places
}

// in tells whether this process is in the group at dir.
func (h host) in(dir string) bool {
	pids, _ := readPids(filepath.Join(dir, "cgroup.procs"))
	return slices.Contains(pids, h.pid)
}

// findWithoutProc knows the usual places only, and can only be sure of their top.
func (h host) findWithoutProc() (place, error) {
	point := "/sys/fs/cgroup"
	switch h.mode() {
	case cgroups.Unavailable:
		return place{}, errNone
	case cgroups.Legacy:
		// What is there may be any file system, and nothing may be mounted on it.
		return place{}, errNone
	case cgroups.Hybrid:
		point = filepath.Join(point, "unified")
	}
	if !h.in(point) {
		return place{}, errWhere
	}
	return place{point, point}, nil
}
