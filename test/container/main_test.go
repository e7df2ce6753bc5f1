// Package container_test runs upkeep where its users do: in images that podman builds FROM scratch, in
// bundles that runc runs, and in namespaces that need neither. Nothing is fetched from anywhere, and what
// the engine keeps lies below one directory that goes with the tests.
package container_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// soon is time enough for a stop on a busy machine. It is less than what upkeep gives a service before it
// kills it: who ends soon has not waited for that.
const soon = 7 * time.Second

// patience bounds every wait, as harness.Patience does, for what takes an engine longer.
const patience = 2 * harness.Patience

// parallel is how many tests run at once. They wait most of the time, but an engine is a crowd by itself.
const parallel = "4"

func TestMain(m *testing.M) {
	rig.Main(stage{m}, map[string]func([]string){"world": worldHelper})
}

// A stage is the tests with something to clear away after them.
type stage struct{ tests *testing.M }

func (s stage) Run() int {
	dir, err := os.MkdirTemp("", "upkeep-container-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Setenv(stageDir, dir)
	flag.Set("test.parallel", parallel)
	unix.Umask(0o022) // what is in the images is for other users too
	code := s.tests.Run()
	if err := cleanUp(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// stageDir is the environment variable that names the directory in which everything is kept.
const stageDir = "UPKEEP_TEST_STAGE"

// cgroupParent is the cgroup below which the containers of these tests are, in every hierarchy.
func cgroupParent(dir string) string { return "/" + filepath.Base(dir) }

// cleanUp removes what the tests have left: containers, cgroups, files.
func cleanUp(dir string) error {
	if e := (&engine{dir: dir}); e.exists() {
		if out, err := e.command("rm", "--all", "--force", "--time=0").CombinedOutput(); err != nil {
			return fmt.Errorf("podman rm --all: %w: %s", err, out)
		}
	}
	var left string
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if left = removeGroups(cgroupParent(dir)); left == "" {
			return os.RemoveAll(dir)
		}
		if time.Now().After(end) {
			return fmt.Errorf("cannot remove the cgroup %s", left)
		}
	}
}

// removeGroups removes a cgroup and all below it in every hierarchy, and returns one that is left.
func removeGroups(group string) (left string) {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for _, m := range strings.Split(string(mounts), "\n") {
		f := strings.Fields(m)
		if len(f) < 3 || !strings.HasPrefix(f[2], "cgroup") {
			continue
		}
		var dirs []string
		filepath.WalkDir(f[1]+group, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			if err := os.Remove(dirs[i]); err != nil && !os.IsNotExist(err) {
				left = dirs[i]
			}
		}
	}
	return left
}

// A speaker is what runs upkeep and shows what it and its services write.
type speaker interface{ Output() string }

// says waits until there are that many lines of exactly this text.
func says(t *testing.T, s speaker, line string, times int) {
	t.Helper()
	eventually(t, fmt.Sprintf("it says %q %d times", line, times), func() bool { return count(s, line) >= times })
}

// eventually waits until cond holds and fails the test if it never does.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// ends waits for the end of a process and expects an exit code.
func ends(t *testing.T, p *harness.Process, code int) {
	t.Helper()
	eventually(t, "it ends", func() bool { return !p.Running() })
	if got := p.Wait(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
}

func count(s speaker, line string) (n int) {
	for _, l := range strings.Split(s.Output(), "\n") {
		if strings.TrimSuffix(l, "\r") == line {
			n++
		}
	}
	return n
}

// complaints are the lines that upkeep itself has written, but for the one about cgroups, which depends on what
// engine and host are like.
func complaints(s speaker) []string {
	return slices.DeleteFunc(allComplaints(s), func(l string) bool { return strings.Contains(l, ": no cgroups: ") })
}

func allComplaints(s speaker) (list []string) {
	for _, l := range strings.Split(s.Output(), "\n") {
		if strings.HasPrefix(l, "upkeep: ") {
			list = append(list, l)
		}
	}
	return list
}
