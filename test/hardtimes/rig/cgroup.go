package rig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"upkeep/test/harness"
)

// group makes a cgroup below ours in the unified tree and returns its path, or "" where that can't be
// had. When the test ends, what is left in it is killed and it is removed.
func group(t testing.TB) string {
	base := ownGroup()
	if base == "" {
		return ""
	}
	dir, err := os.MkdirTemp(base, "upkeep-test-")
	if err != nil {
		return ""
	}
	t.Cleanup(func() {
		os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
		harness.Eventually(t, "the cgroup is empty", func() bool {
			events, _ := os.ReadFile(filepath.Join(dir, "cgroup.events"))
			return !strings.Contains(string(events), "populated 1")
		})
		harness.Eventually(t, "the cgroup is removed", func() bool { return removeTree(dir) })
	})
	return dir
}

func ownGroup() string {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	own, _ := os.ReadFile("/proc/self/cgroup")
	for _, m := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(m); len(f) > 2 && f[2] == "cgroup2" {
			for _, o := range strings.Split(string(own), "\n") {
				if path, ok := strings.CutPrefix(o, "0::"); ok {
					return filepath.Join(f[1], path)
				}
			}
		}
	}
	return ""
}

// removeTree removes a cgroup and those below it; their files go with them.
func removeTree(dir string) bool {
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		if e.IsDir() {
			removeTree(filepath.Join(dir, e.Name()))
		}
	}
	os.Remove(dir)
	_, err := os.Stat(dir)
	return os.IsNotExist(err)
}

// OwnGroup is where this process is in the unified cgroup hierarchy, or "".
func OwnGroup() string {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	own, _ := os.ReadFile("/proc/self/cgroup")
	for m := range strings.Lines(string(mounts)) {
		if f := strings.Fields(m); len(f) > 2 && f[2] == "cgroup2" {
			for o := range strings.Lines(string(own)) {
				if path, ok := strings.CutPrefix(strings.TrimSpace(o), "0::"); ok {
					return filepath.Join(f[1], path)
				}
			}
		}
	}
	return ""
}
