package cgroup

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// maxName is the longest name that the kernel takes.
const maxName = 255

// reserved are the names, and the first words of names with a dot, that a group cannot have because
// the kernel has, or may get, interface files that are called so.
var reserved = []string{
	"cgroup", "cpu", "cpuset", "cpuacct", "io", "blkio", "memory", "hugetlb", "pids", "rdma", "misc", "dmem",
	"debug", "irq", "devices", "freezer", "net_cls", "net_prio", "perf_event",
}

// escape makes a service's name the name of a group. Different names give different groups, and all but
// odd ones give themselves.
//
// As in systemd, a name that could be taken for something else gets an underscore in front, and so does
// one that has one. Control characters, '/' and the backslash become \xHH. What is then longer than the
// kernel allows ends in a hash of the name.
func escape(name string) string {
	var b strings.Builder
	if special(name) {
		b.WriteByte('_')
	}
	for _, c := range []byte(name) {
		if c < ' ' || c == '/' || c == '\\' || c == 0x7f {
			fmt.Fprintf(&b, `\x%02x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	if b.Len() <= maxName {
		return b.String()
	}
	hash := fnv.New128a()
	hash.Write([]byte(name))
	// No other name gives a backslash before anything but an x.
	const readable = 200
	return fmt.Sprintf(`_%s\h%x`, strings.TrimPrefix(b.String(), "_")[:readable], hash.Sum(nil))
}

func special(name string) bool {
	word, _, dot := strings.Cut(name, ".")
	switch {
	case name == "", name[0] == '_', name[0] == '.':
		return true
	case dot && slices.Contains(reserved, word):
		return true
	case name == supervisorName, strings.HasPrefix(name, tagPrefix):
		return true
	case name == "tasks", name == "notify_on_release", name == "release_agent":
		return true
	}
	return false
}

const (
	supervisorName = "supervisor"
	tagPrefix      = "upkeep-"
)

// tag is a name for a whole tree: it tells apart those that are in one place.
func tag(root string) string {
	hash := fnv.New64a()
	hash.Write([]byte(root))
	// The last part of the path is for people. There is room for 128 bytes where the tag is kept.
	last := root[strings.LastIndexByte(root, '/')+1:]
	last = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, last)
	return fmt.Sprintf("%s-%x", last[:min(len(last), 32)], hash.Sum(nil))
}
