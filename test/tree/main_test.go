// Package tree_test observes what upkeep does with all that a service has started: the service's cgroup.
package tree_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

func TestMain(m *testing.M) {
	rig.Main(m, map[string]func([]string){
		"hidden":   hiddenHelper,
		"readonly": readonlyHelper,
	})
}

// slack is how much later than its deadline the daemon may end on a busy machine.
const slack = 20 * time.Second

func sh(lines ...string) string { return "#!/bin/sh\n" + strings.Join(lines, "\n") + "\n" }

// hiddenHelper executes its arguments where there is no cgroup to be seen.
func hiddenHelper(args []string) {
	inPrivate(unix.Mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, ""))
	execute(args)
}

// readonlyHelper executes its arguments where every cgroup hierarchy is mounted read-only.
func readonlyHelper(args []string) {
	for _, m := range mounts() {
		inPrivate(unix.Mount("", m.point, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	}
	execute(args)
}

// inPrivate ends the helper if a mount has failed.
func inPrivate(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "mount:", err)
		os.Exit(99)
	}
}

func execute(args []string) {
	fmt.Fprintln(os.Stderr, syscall.Exec(args[0], args, os.Environ()))
	os.Exit(99)
}

// A mountpoint is where a cgroup hierarchy is.
type mountpoint struct {
	point   string
	unified bool
	options []string
}

func mounts() (list []mountpoint) {
	text, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 3 && (f[2] == "cgroup" || f[2] == "cgroup2") {
			list = append(list, mountpoint{f[1], f[2] == "cgroup2", strings.Split(f[3], ",")})
		}
	}
	return list
}

// groupOf is where a process is in the hierarchy of a controller, "" for the unified one; an empty string
// where there is none.
func groupOf(pid, controller string) string {
	text, _ := os.ReadFile("/proc/" + pid + "/cgroup")
	for line := range strings.Lines(strings.TrimSpace(string(text))) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 || !contains(strings.Split(f[1], ","), controller) {
			continue
		}
		for _, m := range mounts() {
			if controller == "" && m.unified || controller != "" && !m.unified && contains(m.options, controller) {
				return filepath.Join(m.point, f[2])
			}
		}
	}
	return ""
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// needGroups returns the group in which the tests run.
func needGroups(t *testing.T) string {
	t.Helper()
	own := groupOf("self", "")
	if own == "" {
		harness.Skip(t, "no unified cgroup hierarchy")
	}
	dir := filepath.Join(own, harness.UniqueName("upkeep-probe-"))
	if err := os.Mkdir(dir, 0o755); err != nil {
		harness.Skip(t, "no cgroup can be made: %v", err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	return own
}

// newGroup makes a group that ends with the test, and all that is in it.
func newGroup(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(needGroups(t), harness.UniqueName("upkeep-test-tree-"))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endGroup(t, dir) })
	return dir
}

// endGroup kills what is in a group of the unified hierarchy and removes it.
func endGroup(t *testing.T, dir string) {
	os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
	harness.Eventually(t, dir+" is removed", func() bool { return removeGroups(dir) })
}

// removeGroups removes a group with those in it, and says whether it is gone.
func removeGroups(dir string) bool {
	for _, sub := range subgroups(dir) {
		removeGroups(sub)
	}
	err := os.Remove(dir)
	return err == nil || os.IsNotExist(err)
}

// subgroups lists the groups directly in one.
func subgroups(dir string) (list []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			list = append(list, filepath.Join(dir, e.Name()))
		}
	}
	return list
}

// groupsNamed finds the groups of a name, wherever they are in any hierarchy.
func groupsNamed(pattern string) (list []string) {
	var walk func(dir string)
	walk = func(dir string) {
		for _, sub := range subgroups(dir) {
			if ok, _ := filepath.Match(pattern, filepath.Base(sub)); ok {
				list = append(list, sub)
			} else {
				walk(sub)
			}
		}
	}
	for _, m := range mounts() {
		walk(m.point)
	}
	return list
}

func read(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}

// event reads a line of a group's cgroup.events.
func event(group, key string) string {
	for line := range strings.Lines(read(filepath.Join(group, "cgroup.events"))) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+" "); ok {
			return value
		}
	}
	return ""
}

// empty tells whether nothing lives in a group; one that is gone is empty.
func empty(group string) bool { return event(group, "populated") != "1" }

func gone(path string) bool {
	_, err := os.Lstat(path)
	return os.IsNotExist(err)
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func has(text, word string) bool { return strings.Contains(text, word) }

func itoa(pid int) string { return strconv.Itoa(pid) }
