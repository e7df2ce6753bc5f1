package container_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

const cgroupMount = "/sys/fs/cgroup"

// The ways to change what is seen of cgroups, each in a mount namespace of its own.
var cgroupViews = map[string]func() error{
	"as it is": func() error { return nil },
	"read-only": func() error {
		return unix.MountSetattr(unix.AT_FDCWD, cgroupMount, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	},
	"hidden": func() error { return unix.Mount("none", cgroupMount, "tmpfs", unix.MS_RDONLY, "") },
	"unified alone": func() error {
		unified, err := unifiedMount()
		if err != nil {
			return err
		}
		return unix.Mount(unified, cgroupMount, "", unix.MS_BIND, "")
	},
	"unified alone, read-only": func() error {
		unified, err := unifiedMount()
		if err != nil {
			return err
		}
		if err := unix.Mount(unified, cgroupMount, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		return unix.MountSetattr(unix.AT_FDCWD, cgroupMount, 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	},
	"controllers alone": func() error {
		unified, err := unifiedMount()
		if err != nil {
			return err
		}
		return unix.Mount("none", unified, "tmpfs", unix.MS_RDONLY, "")
	},
}

// unifiedMount is where the unified tree is mounted.
func unifiedMount() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for _, m := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(m); len(f) > 2 && f[2] == "cgroup2" {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("no unified tree is mounted")
}

// worldHelper changes the view and executes its other arguments.
func worldHelper(args []string) {
	fail := func(what string, err error) {
		fmt.Fprintf(os.Stderr, "helper: cannot %s: %v\n", what, err)
		os.Exit(99)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fail("make mounts private", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		fail("mount /proc", err)
	}
	if err := cgroupViews[args[0]](); err != nil {
		fail("make the view "+args[0], err)
	}
	fail("execute "+args[1], syscall.Exec(args[1], args[1:], os.Environ()))
}

// TestCgroupViews: without any engine, upkeep as PID 1 of its namespaces sees /sys/fs/cgroup as containers
// have it.
func TestCgroupViews(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sight
		view  string
		flags uintptr // further namespaces
	}{
		{sight{name: "as it is", silent: true}, "as it is", 0},
		{sight{name: "as it is, private", says: "not below what is mounted"}, "as it is", unix.CLONE_NEWCGROUP},
		{sight{name: "read-only", says: "is mounted read-only"}, "read-only", 0},
		{sight{name: "read-only, private", says: "not below what is mounted"}, "read-only", unix.CLONE_NEWCGROUP},
		{sight{name: "hidden", says: "not below what is mounted"}, "hidden", 0},
		{sight{name: "unified alone", silent: true}, "unified alone", 0},
		{sight{name: "unified alone, private", says: "not below what is mounted"}, "unified alone", unix.CLONE_NEWCGROUP},
		{sight{name: "unified alone, read-only", says: "is mounted read-only"}, "unified alone, read-only", 0},
		{sight{name: "controllers alone", says: "not below what is mounted"}, "controllers alone", 0},
		{sight{name: "user namespace"}, "as it is", unix.CLONE_NEWUSER},
		{sight{name: "user namespace, private"}, "as it is", unix.CLONE_NEWUSER | unix.CLONE_NEWCGROUP},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | test.flags}
			if test.flags&unix.CLONE_NEWUSER != 0 {
				attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
				attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
			}
			needView(t, attr, test.view)
			root := t.TempDir()
			for name, run := range map[string]string{
				"web":   "#!/bin/sh\ntrap 'echo web TERM; exit' TERM\necho web up\nwhile :; do sleep 0.1; done\n",
				"crash": crash,
			} {
				rig.Service(t, root, name, run)
			}
			rig.Service(t, root, "loud", loud, "log/run", logger)
			u := rig.Start(t, inView(t, attr, test.view, append(append([]string{harness.Bin(t, "upkeep")}, test.args...), root)...))
			for _, line := range []string{"web up", "log: first words"} {
				says(t, u, line, 1)
			}
			says(t, u, "crash", 2)
			if code := u.Stop(unix.SIGTERM, soon); code != 0 {
				t.Errorf("exit code %d", code)
			}
			for _, line := range []string{"web TERM", "log: last words"} {
				says(t, u, line, 1)
			}
			test.judge(t, u)
		})
	}
}

// inView is a command that runs with a view of cgroups.
func inView(t *testing.T, attr *syscall.SysProcAttr, view string, args ...string) *exec.Cmd {
	t.Helper()
	argv := rig.Helper(t, "world", append([]string{view}, args...)...)
	cmd := exec.Command(argv[0], argv[1:]...)
	own := *attr
	cmd.SysProcAttr = &own
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C"}
	return cmd
}

// needView skips the test where the view cannot be had.
func needView(t *testing.T, attr *syscall.SysProcAttr, view string) {
	t.Helper()
	out, err := inView(t, attr, view, "/bin/true").CombinedOutput()
	if err != nil {
		harness.Skip(t, "no view %q: %v: %s", view, err, out)
	}
}
