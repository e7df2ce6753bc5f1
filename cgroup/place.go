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
func parseMounts(text []byte) (mounts []mount) {
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

// find returns the place in the unified hierarchy, and those in the v1 hierarchies that have a controller,
// by controller.
func (h host) find() (v2 place, v1 map[string]place, err error) {
	text, err := readFile(filepath.Join(h.proc, "mountinfo"))
	if err != nil {
		v2, err = h.findWithoutProc()
		return v2, nil, err
	}
	mounts := parseMounts(text)
	v1paths, v2path, err := cgroups.ParseCgroupFileUnified(filepath.Join(h.proc, "cgroup"))
	if err != nil {
		return place{}, nil, &OpError{"read", filepath.Join(h.proc, "cgroup"), err}
	}
	v1 = make(map[string]place)
	for controller, path := range v1paths {
		has := func(m mount) bool { return !m.unified && slices.Contains(m.options, controller) }
		if p, ok := h.locate(mounts, path, has); ok {
			v1[controller] = p
		}
	}
	unified := func(m mount) bool { return m.unified }
	switch v2, ok := h.locate(mounts, v2path, unified); {
	case ok:
		return v2, v1, nil
	case slices.ContainsFunc(mounts, unified):
		return place{}, v1, errWhere
	case len(mounts) > 0:
		return place{}, v1, errNoV2
	}
	return place{}, v1, errNone
}

// locate finds the directory of the group called path, in which this process is. The path need not mean
// anything here: where a namespace hides what is above it, it begins with /.., and a container may have
// the group mounted under another name. So the kernel is asked.
func (h host) locate(mounts []mount, path string, fits func(mount) bool) (place, bool) {
	for _, m := range slices.Backward(mounts) {
		if !fits(m) {
			continue
		}
		if dir, ok := m.below(path); ok && h.in(dir) {
			return place{dir, m.point}, true
		}
		if h.in(m.point) {
			return place{m.point, m.point}, true
		}
	}
	return place{}, false
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
