package cgroup_test

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upkeep/cgroup"
	"upkeep/test/harness"
)

func TestMain(m *testing.M) {
	if os.Getenv("CGROUP_TEST_ROLE") != "" {
		stranger()
		return
	}
	os.Exit(m.Run())
}

// stranger opens a tree, tells what came of it, and closes it.
func stranger() {
	tree, err := cgroup.Open(cgroup.Options{Root: "/stranger"})
	if err != nil {
		fmt.Println(err)
		return
	}
	inner, _ := os.ReadFile(tree.Base() + "/cgroup.procs")
	g := tree.Group("web", false)
	_, err = g.Make()
	fmt.Println(filepath.Base(tree.Base()), strings.Count(string(inner), "\n"), err, g.Remove())
	if err := tree.Close(); err != nil {
		fmt.Println(err)
	}
	if _, err := os.Stat(tree.Base() + "/supervisor"); err == nil {
		fmt.Println("something is left")
	}
}

// unified returns where the unified hierarchy is mounted.
func unified(t *testing.T) string {
	t.Helper()
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); strings.Contains(line, " - cgroup2 ") {
			return fields[4]
		}
	}
	harness.Skip(t, "no unified hierarchy is mounted")
	return ""
}

// TestHosts opens a tree where there is none to be had, or in another place, each in a mount namespace.
func TestHosts(t *testing.T) {
	harness.NeedRoot(t)
	harness.Need(t, "unshare", "mount", "umount")
	point := unified(t)
	tree := openTree(t)
	g := newGroup(t, tree, "host")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(g.Path(), point)
	for what, test := range map[string]struct {
		setup  string
		nobody bool
		theirs bool // the group's directory, not its files, belongs to nobody, and somebody else is there
		want   string
	}{
		"read-only":  {setup: `mount -o remount,bind,ro "$1"`, want: point + " is mounted read-only"},
		"no cgroups": {setup: `umount -l /sys/fs/cgroup`, want: "no cgroup file system is mounted"},
		// Of the group that is mounted, only the container sees itself as the top.
		"a container":                  {setup: `mount --bind "$1$2" "$1"`, want: filepath.Base(point) + " 0 <nil> <nil>"},
		"a container, read-only":       {setup: `mount --bind "$1$2" "$1"; mount -o remount,bind,ro "$1"`, want: point + " is mounted read-only"},
		"a container with a namespace": {setup: `exec unshare -C sh -c 'umount -l "$1"; mount -t cgroup2 none "$1" && exec "$2"' sh "$1" "$3"`, want: filepath.Base(point) + " 0 <nil> <nil>"},
		"no permission":                {nobody: true, want: "cannot make " + g.Path() + "/upkeep-stranger-*: permission denied"},
		"half of the permissions":      {nobody: true, theirs: true, want: "cannot write to " + g.Path() + "/upkeep-stranger-*/supervisor/cgroup.procs: permission denied"},
	} {
		t.Run(what, func(t *testing.T) {
			dir, err := os.Open(g.Path())
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			cmd := exec.Command("unshare", "-m", "sh", "-ec", test.setup+`; exec "$3"`, "sh", point, name, self)
			cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
			if test.nobody {
				cmd = exec.Command("/proc/self/exe")
				cmd.SysProcAttr = &syscall.SysProcAttr{
					UseCgroupFD: true, CgroupFD: int(dir.Fd()),
					Credential: &syscall.Credential{Uid: 65534, Gid: 65534},
				}
			}
			if test.theirs {
				if err := os.Chown(g.Path(), 65534, 65534); err != nil {
					t.Fatal(err)
				}
				defer os.Chown(g.Path(), 0, 0)
				run(t, g, `echo ready; exec sleep 1000`).expect("ready")
			}
			cmd.Dir = "/"
			cmd.Env = append(os.Environ(), "CGROUP_TEST_ROLE=stranger")
			out, err := cmd.CombinedOutput()
			got := strings.TrimSpace(string(out))
			if same, _ := path.Match(test.want, got); err != nil || !same {
				t.Errorf("it said %q (%v), want %q", got, err, test.want)
			}
			if left, _ := filepath.Glob(g.Path() + "/*/cgroup.procs"); len(left) > 0 {
				t.Errorf("it has left %q", left)
			}
		})
	}
}
