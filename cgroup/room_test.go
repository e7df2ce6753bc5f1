package cgroup

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestRoom(t *testing.T) {
	const (
		unified = "30 23 0:26 / @/cg rw - cgroup2 cgroup2 rw\n"
		v1      = "35 31 0:32 / @/cg/pids rw - cgroup cgroup rw,pids\n41 31 0:38 / @/cg/unified rw - cgroup2 cgroup2 rw\n"
	)
	for name, test := range map[string]struct {
		mounts, own, at string
		limits          map[string]string // by group: the limit and how many there are
		want            int
		free            bool // there is no limit
	}{
		"no limit":          {mounts: unified, own: "0::/a/b\n", at: "cg/a/b", limits: map[string]string{"cg/a/b": "max 3"}, free: true},
		"the root":          {mounts: unified, own: "0::/\n", at: "cg", free: true},
		"a limit":           {mounts: unified, own: "0::/a/b\n", at: "cg/a/b", limits: map[string]string{"cg/a/b": "20 3"}, want: 17},
		"one above":         {mounts: unified, own: "0::/a/b\n", at: "cg/a/b", limits: map[string]string{"cg/a/b": "20 3", "cg/a": "10 9"}, want: 1},
		"a container":       {mounts: unified, own: "0::/\n", at: "cg", limits: map[string]string{"cg": "20 4"}, want: 16},
		"more than allowed": {mounts: unified, own: "0::/\n", at: "cg", limits: map[string]string{"cg": "3 4"}, want: -1},
		"hybrid":            {mounts: v1, own: "5:pids:/a\n0::/\n", at: "cg/pids/a", limits: map[string]string{"cg/pids/a": "20 5"}, want: 15},
		"not where we are":  {mounts: unified, own: "0::/../a\n", at: "elsewhere", limits: map[string]string{"cg": "20 5"}, free: true},
		"nothing mounted":   {own: "0::/\n", at: "cg", free: true},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			write(t, top+"/self/mountinfo", strings.ReplaceAll(test.mounts, "@", top))
			write(t, top+"/self/cgroup", test.own)
			write(t, filepath.Join(top, test.at, "cgroup.procs"), strconv.Itoa(pid)+"\n")
			for group, text := range test.limits {
				most, now, _ := strings.Cut(text, " ")
				write(t, filepath.Join(top, group, "pids.max"), most+"\n")
				write(t, filepath.Join(top, group, "pids.current"), now+"\n")
			}
			room, limited := host{proc: top + "/self", pid: pid}.room()
			if limited == test.free || room != test.want {
				t.Errorf("room for %d, limited %v, want %d", room, limited, test.want)
			}
		})
	}
}
