package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/cgroups/v3"
	"golang.org/x/sys/unix"

	"upkeep/test/harness"
)

const pid = 4711

// write makes a file and the directories above it.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	const (
		unified = "30 23 0:26 / @/cg rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
		tmp     = "31 23 0:28 / @/cg rw,relatime - tmpfs tmpfs rw,mode=755\n"
		hybrid  = tmp +
			"32 31 0:29 / @/cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
			"35 31 0:32 / @/cg/memory rw shared:9 master:1 - cgroup cgroup rw,memory\n" +
			"40 31 0:37 / @/cg/systemd rw - cgroup cgroup rw,xattr,name=systemd\n" +
			"41 31 0:38 / @/cg/unified rw - cgroup2 cgroup2 rw\n"
	)
	for name, test := range map[string]struct {
		mounts, own string
		at          []string // the groups that the process is in
		want        string   // below @, or the error
		v1          map[string]string
	}{
		"systemd": {
			mounts: unified, own: "0::/system.slice/upkeep.service\n",
			at: []string{"cg/system.slice/upkeep.service"}, want: "cg/system.slice/upkeep.service",
		},
		"the root of a machine": {mounts: unified, own: "0::/\n", at: []string{"cg"}, want: "cg"},
		"hybrid": {
			mounts: hybrid, own: "5:memory:/a/b\n2:cpu,cpuacct:/\n1:name=systemd:/x\n0::/x\n",
			at: []string{"cg/unified/x", "cg/memory/a/b", "cg/cpu,cpuacct"}, want: "cg/unified/x",
			v1: map[string]string{"memory": "cg/memory/a/b", "cpu": "cg/cpu,cpuacct", "cpuacct": "cg/cpu,cpuacct"},
		},
		"v1 only": {
			mounts: tmp + "35 31 0:32 / @/cg/memory rw - cgroup cgroup rw,memory\n", own: "5:memory:/\n",
			at: []string{"cg/memory"}, want: errNoV2.Error(),
		},
		"none": {mounts: "22 27 0:21 / /proc rw - proc proc rw\n", own: "0::/\n", want: errNone.Error()},
		"a container that sees the host's paths": {
			mounts: "30 23 0:26 /docker/abc @/cg rw - cgroup2 cgroup rw\n", own: "0::/docker/abc\n",
			at: []string{"cg"}, want: "cg",
		},
		"below the top of such a container": {
			mounts: "30 23 0:26 /docker/abc @/cg rw - cgroup2 cgroup rw\n", own: "0::/docker/abc/sub\n",
			at: []string{"cg/sub"}, want: "cg/sub",
		},
		"another one whose name begins alike": {
			mounts: "30 23 0:26 /docker/abc @/cg rw - cgroup2 cgroup rw\n", own: "0::/docker/abcdef\n",
			want: errWhere.Error(),
		},
		"outside of its namespace": {
			mounts: unified, own: "0::/../other\n", at: []string{"other"}, want: errWhere.Error(),
		},
		"mounted in an outer namespace": {
			mounts: "30 23 0:26 /../.. @/cg rw - cgroup2 cgroup rw\n", own: "0::/\n",
			at: []string{"cg"}, want: "cg",
		},
		"hidden by another mount": {
			mounts: "30 23 0:26 / @/cg rw - cgroup2 cgroup rw\n30 23 0:26 /a @/cg rw - cgroup2 cgroup rw\n",
			own:    "0::/a/b\n", at: []string{"cg/b"}, want: "cg/b",
		},
		"a space in the path": {
			mounts: "30 23 0:26 / @/c\\040g rw - cgroup2 cgroup rw\n", own: "0::/a b:c\n",
			at: []string{"c g/a b:c"}, want: "c g/a b:c",
		},
		"garbage": {mounts: "\n - \n1 2 3 - cgroup2\n- cgroup2 cgroup2 rw\n\xff\n", own: "0::/\n", want: errNone.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			write(t, top+"/self/mountinfo", strings.ReplaceAll(test.mounts, "@", top))
			write(t, top+"/self/cgroup", test.own)
			for _, dir := range test.at {
				write(t, filepath.Join(top, dir, "cgroup.procs"), fmt.Sprintf("1\n%d\n0\n", pid))
			}
			h := host{proc: top + "/self", pid: pid}
			v2, err := h.find()
			got := strings.TrimPrefix(v2.dir, top+"/")
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("found %s, want %s", got, test.want)
			}
			for controller, want := range test.v1 {
				tree := Tree{host: h, name: "x"}
				got, ok := tree.v1base(controller)
				if want := filepath.Join(top, want, tagPrefix+"x"); !ok || got != want {
					t.Errorf("found %s at %s, want %s", controller, got, want)
				}
			}
		})
	}
}

func TestFindWithoutProc(t *testing.T) {
	for _, mode := range []cgroups.CGMode{cgroups.Unavailable, cgroups.Legacy} {
		h := host{proc: t.TempDir(), pid: os.Getpid(), mode: func() cgroups.CGMode { return mode }}
		if _, err := h.find(); err != errNone {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	h := host{proc: t.TempDir(), pid: -1, mode: func() cgroups.CGMode { return cgroups.Unified }}
	if _, err := h.find(); err != errWhere {
		t.Errorf("nowhere to be found: %v", err)
	}
}

// TestSettle: whose place is whose.
func TestSettle(t *testing.T) {
	const mine, other = "/mine", "/other"
	ours, theirs := tagPrefix+tag(mine), tagPrefix+tag(other)
	for name, test := range map[string]struct {
		own   string // the group that we are in, below the mount
		dir   string // --cgroup
		pid1  bool
		procs string            // what else is in that group
		marks map[string]string // by group: the root of the upkeep that has it, or "delegate"
		want  string
	}{
		"the root of the machine":             {own: "top", want: "top/" + ours},
		"there again":                         {own: "top/" + ours + "/supervisor", want: "top/" + ours},
		"the child of another one there":      {own: "top/" + theirs + "/supervisor", want: "top/" + ours},
		"a container":                         {own: "", procs: "1\n", want: ""},
		"a container, second root":            {own: "", marks: map[string]string{"": other}, want: ours},
		"a container, from the other one":     {own: "supervisor", marks: map[string]string{"": other}, want: ours},
		"a container again":                   {own: "supervisor", marks: map[string]string{"": mine}, want: ""},
		"a second root again":                 {own: ours + "/supervisor", marks: map[string]string{"": other}, want: ours},
		"a login session":                     {own: "session", procs: "1000\n", want: "session/" + ours},
		"a unit without delegation":           {own: "unit", want: "unit"},
		"a delegated unit":                    {own: "unit", procs: "1000\n", marks: map[string]string{"unit": "delegate"}, want: "unit"},
		"a delegated unit with a subgroup":    {own: "unit/supervisor", marks: map[string]string{"unit": "delegate"}, want: "unit"},
		"somebody else's supervisor group":    {own: "unit/supervisor", want: "unit/supervisor"},
		"process 1 in a group with others":    {own: "unit", pid1: true, procs: "1000\n", want: "unit"},
		"the service of another one":          {own: "web/run", marks: map[string]string{"": other}, want: "web/run"},
		"a given place":                       {own: "session", procs: "1000\n", dir: "given", want: "given"},
		"a given place that another one took": {own: "session", dir: "given", marks: map[string]string{"given": other}, want: "given/" + ours},
	} {
		t.Run(name, func(t *testing.T) {
			point := t.TempDir()
			h := host{pid: pid}
			if test.pid1 {
				h.pid = 1
			}
			own := filepath.Join(point, test.own)
			write(t, own+"/cgroup.procs", fmt.Sprintf("%d\n%s", h.pid, test.procs))
			for dir := filepath.Join(own); ; dir = filepath.Dir(dir) {
				write(t, dir+"/cgroup.controllers", "")
				if filepath.Base(dir) != "top" {
					write(t, dir+"/cgroup.events", "populated 1\n")
				}
				if dir == point {
					break
				}
			}
			for dir, who := range test.marks {
				write(t, filepath.Join(point, dir, "cgroup.controllers"), "")
				write(t, filepath.Join(point, dir, "cgroup.events"), "")
				var err error
				if who == "delegate" {
					err = unix.Setxattr(filepath.Join(point, dir), "user.delegate", []byte("1"), 0)
				} else if !setMark(filepath.Join(point, dir), tag(who)) {
					err = unix.ENOTSUP
				}
				if err != nil {
					harness.Skip(t, "no extended attributes here: %v", err)
				}
			}
			o := Options{Root: mine}
			if test.dir != "" {
				o.Dir = filepath.Join(point, test.dir)
				write(t, o.Dir+"/cgroup.controllers", "")
				write(t, o.Dir+"/cgroup.events", "")
			}
			for range 2 { // it does not change its mind
				tree := Tree{host: h, name: tag(o.Root)}
				err := tree.settle(o, place{own, point})
				got, _ := filepath.Rel(point, tree.base)
				if want := filepath.Clean("./" + test.want); err != nil || got != want {
					t.Errorf("settled in %s (%v), want %s", got, err, want)
				}
			}
		})
	}
}

// TestCloseMindsItsOwn: what is empty may be about to be used by another upkeep.
func TestCloseMindsItsOwn(t *testing.T) {
	base := t.TempDir()
	for _, dir := range []string{"web/run/sub", "web/log", "supervisor", tagPrefix + "other/web/run"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tree := Tree{base: base, place: base, origin: base}
	if err := tree.Close(); err != nil {
		t.Error(err)
	}
	left, _ := filepath.Glob(base + "/*/*")
	if want := filepath.Join(base, tagPrefix+"other/web"); len(left) != 1 || left[0] != want {
		t.Errorf("left are %q, want %s", left, want)
	}
	if !exists(base + "/" + tagPrefix + "other/web/run") {
		t.Error("another upkeep's group is gone")
	}
}
