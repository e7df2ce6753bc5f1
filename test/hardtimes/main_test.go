package hardtimes_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

func TestMain(m *testing.M) {
	rig.Main(m, map[string]func([]string){
		"limit":    limitThenExec,
		"forkbomb": forkBomb,
	})
}

// mount mounts for the time of the test; it needs no cleaning up by name, for the mount namespace is
// the test's own.
func mount(t *testing.T, source, dir, fstype string, flags uintptr, options string) {
	t.Helper()
	harness.NeedRoot(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(source, dir, fstype, flags, options); err != nil {
		harness.Skip(t, "cannot mount %s: %v", fstype, err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func symlink(t *testing.T, target, link string) {
	t.Helper()
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("kill %d %v: %v", pid, sig, err)
	}
}

// answers fails the test unless the services do what a letter says and svstat tells about it.
func answers(t *testing.T, dirs ...string) {
	t.Helper()
	old := make(map[string]int)
	for _, dir := range dirs {
		old[dir] = rig.Up(t, dir)
	}
	rig.Svc(t, "t", dirs...)
	for _, dir := range dirs {
		rig.NewPid(t, dir, old[dir])
		harness.Eventually(t, "svstat says that it is up", func() bool {
			return strings.HasPrefix(rig.Client(t, "svstat", dir), dir+": up (pid ")
		})
	}
}

// rescan is for changes that the daemon has no way to notice by itself.
func rescan(t *testing.T, u *rig.Upkeep) {
	t.Helper()
	kill(t, u.Pid(), syscall.SIGHUP)
}

func size(path string) int64 {
	if st, err := os.Stat(path); err == nil {
		return st.Size()
	}
	return 0
}

func join(elem ...string) string { return filepath.Join(elem...) }

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
