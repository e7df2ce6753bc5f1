package hardtimes_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

func TestNoRoot(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	file := join(top, "file")
	harness.WriteFile(t, file, "", 0o644)
	for root, reason := range map[string]string{
		join(top, "missing"): "no such file or directory",
		file:                 "not a directory",
	} {
		out, code := harness.RunCmd(t, rig.Command(t, root))
		if code != 111 || !strings.Contains(out, root) || !strings.Contains(out, reason) {
			t.Errorf("%s: exit %d, output %q", root, code, out)
		}
	}
}

// twoRoots lays out service directories beside a root that holds links to them, so that the root can
// go while they stay.
func twoRoots(t *testing.T) (top, root, a, b string) {
	top = t.TempDir()
	root = join(top, "root")
	a, b = rig.Service(t, join(top, "sv"), "a", rig.Sleeper), rig.Service(t, join(top, "sv"), "b", rig.Sleeper)
	fill(t, root, a)
	return top, root, a, b
}

func fill(t *testing.T, root string, dirs ...string) {
	t.Helper()
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		symlink(t, dir, join(root, dir[strings.LastIndexByte(dir, '/')+1:]))
	}
}

// kept fails the test if the service got another process.
func kept(t *testing.T, u *rig.Upkeep, dir string, pid int) {
	t.Helper()
	u.Lives()
	if now := rig.Up(t, dir); now != pid {
		t.Errorf("%s was restarted: %d, then %d", dir, pid, now)
	}
	answers(t, dir)
}

func TestRootDeletedAndMadeAgain(t *testing.T) {
	t.Parallel()
	_, root, a, b := twoRoots(t)
	u := rig.StartOn(t, root)
	rig.Up(t, a)
	// The daemon notices that a is gone and writes into the root while that is still being removed.
	harness.Eventually(t, "the root is removed", func() bool { return os.RemoveAll(root) == nil })
	u.EventuallySays("upkeep: ", root)
	answers(t, a)
	pid := rig.Up(t, a)
	fill(t, root, a, b)
	rig.Up(t, b)
	kept(t, u, a, pid)
}

func TestRootReplacedByRename(t *testing.T) {
	t.Parallel()
	top, root, a, b := twoRoots(t)
	u := rig.StartOn(t, root)
	pid := rig.Up(t, a)
	fill(t, join(top, "new"), a, b)
	if err := unix.Renameat2(unix.AT_FDCWD, join(top, "new"), unix.AT_FDCWD, root, unix.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
	rig.Up(t, b)
	kept(t, u, a, pid)
	c := rig.Service(t, join(top, "sv"), "c", rig.Sleeper)
	symlink(t, c, join(root, "c"))
	rig.Up(t, c)
}

func TestRootIsSwitchedLink(t *testing.T) {
	t.Parallel()
	top, root, a, b := twoRoots(t)
	fill(t, join(top, "generation2"), a, b)
	current := join(top, "current")
	symlink(t, root, current)
	u := rig.StartOn(t, current)
	pid := rig.Up(t, a)
	symlink(t, join(top, "generation2"), join(top, "next"))
	rename(t, join(top, "next"), current)
	rescan(t, u)
	rig.Up(t, b)
	kept(t, u, a, pid)
	c := rig.Service(t, join(top, "sv"), "c", rig.Sleeper)
	symlink(t, c, join(top, "generation2", "c"))
	rig.Up(t, c)
}

func TestRootUnmounted(t *testing.T) {
	t.Parallel()
	top, _, a, b := twoRoots(t)
	root := join(top, "mounted")
	mount(t, "tmpfs", root, "tmpfs", 0, "size=1m")
	fill(t, root, a)
	u := rig.StartOn(t, root)
	rig.Up(t, a)
	if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	rescan(t, u)
	answers(t, a)
	pid := rig.Up(t, a)
	mount(t, "tmpfs", root, "tmpfs", 0, "size=1m")
	fill(t, root, a, b)
	rescan(t, u)
	rig.Up(t, b)
	kept(t, u, a, pid)
	c := rig.Service(t, join(top, "sv"), "c", rig.Sleeper)
	symlink(t, c, join(root, "c"))
	rig.Up(t, c)
}
