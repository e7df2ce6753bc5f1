package tree_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// TestOff: nothing is done with cgroups, and all else works.
func TestOff(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", leader, "notes/escapee", polite, "cgroup/pids.max", "1\n")
	h.open("--cgroup=off", "--stop-timeout=60s") // the escapee has time to say something
	s.says("up")
	if v := s.phase("up"); v.Cgroup != nil || v.Usage != nil {
		t.Errorf("it has a group: %+v", v)
	}
	if left := groupsNamed("upkeep-" + h.name + "-*"); len(left) > 0 {
		t.Errorf("there are groups: %v", left)
	}
	own := groupOf(itoa(h.Pid()), "")
	if now := groupOf(itoa(s.pid("escaped")), ""); now != own || len(subgroups(own)) > 0 {
		t.Errorf("the daemon is in %s, the escapee in %s", own, now)
	}
	escapee := s.pid("escaped")
	s.svc("d")
	s.says("up", "leader")
	s.phase("down")
	lives(t, escapee) // nobody knows whose it was
	h.ends(syscall.SIGTERM, slack)
	s.says("up", "leader", "escapee")
}

// TestRequired: without cgroups there is no daemon that requires them.
func TestRequired(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ world, reason string }{{"hidden", "cgroup"}, {"readonly", "read-only"}} {
		t.Run(c.world, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			needMounts(t)
			u := h.launch(nil, rig.Helper(t, c.world), "--cgroup=require")
			if code := u.Wait(); code != 111 {
				t.Errorf("exit code %d", code)
			}
			oneLine(t, u.Output(), "required", c.reason)
			h.nothingLeft()
		})
	}
}

// TestAutoWithout: without cgroups it is said once, and services run.
func TestAutoWithout(t *testing.T) {
	t.Parallel()
	for _, world := range []string{"hidden", "readonly"} {
		t.Run(world, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			needMounts(t)
			s := h.service("web", leader, "notes/escapee", polite)
			other := h.service("web2", "echo up >>said\nexec sleep 1000000")
			h.Upkeep = h.launch(nil, rig.Helper(t, world), "--stop-timeout=60s")
			s.says("up")
			other.says("up")
			if v := s.phase("up"); v.Cgroup != nil || v.Usage != nil {
				t.Errorf("it has a group: %+v", v)
			}
			h.EventuallySays("no cgroups")
			oneLine(t, h.Output(), "no cgroups")
			h.ends(syscall.SIGTERM, slack)
			s.says("up", "leader", "escapee")
		})
	}
}

// TestLimitWithout: without cgroups a service with a limit is not started, and it is said why.
func TestLimitWithout(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	needMounts(t)
	s := h.service("web", "echo up >>said\nexec sleep 1000000", "cgroup/pids.max", "10\n")
	other := h.service("web2", "echo up >>said\nexec sleep 1000000")
	h.Upkeep = h.launch(nil, rig.Helper(t, "readonly"))
	other.says("up")
	h.EventuallySays("web: cannot start ./run: cgroup/pids.max", "no cgroups", "read-only")
	s.says()
	s.remove("cgroup/pids.max")
	s.says("up")
	h.ends(syscall.SIGTERM, slack)
}

func needMounts(t *testing.T) {
	t.Helper()
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if err := cmd.Run(); err != nil {
		harness.Skip(t, "no mount namespaces: %v", err)
	}
}

// oneLine expects all there is to be a line of upkeep's with these words.
func oneLine(t *testing.T, out string, words ...string) {
	t.Helper()
	ok := strings.Count(out, "\n") == 1 && strings.HasPrefix(out, "upkeep: ")
	for _, word := range words {
		ok = ok && strings.Contains(out, word)
	}
	if !ok {
		t.Errorf("it said %q, which is no line with %q", out, words)
	}
}

// TestNoCgroup: a directory that is none of the unified hierarchy is refused, and left as it was.
func TestNoCgroup(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	there := filepath.Join(h.top, "there")
	if err := os.Mkdir(there, 0o755); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(h.top, "missing")
	for _, dir := range []string{"/not/a/cgroup", there, missing, "/proc"} {
		out, code := harness.RunCmd(t, rig.Command(t, "--cgroup="+dir, h.root))
		if code != 111 {
			t.Errorf("%s: exit code %d", dir, code)
		}
		oneLine(t, out, dir)
	}
	if !gone(missing) {
		t.Error("a directory was left behind")
	}
	if gone(there) {
		t.Error("a directory was removed")
	}
}

func TestWrongOption(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, value := range []string{"maybe", "", "relative/path"} {
		if out, code := harness.RunCmd(t, rig.Command(t, "--cgroup="+value, h.root)); code != 100 || !strings.Contains(out, "--cgroup") {
			t.Errorf("%q: exit code %d, %s", value, code, out)
		}
	}
}

// TestGivenGroup: a group that was given is used as it is, and left empty.
func TestGivenGroup(t *testing.T) {
	for _, made := range []bool{true, false} {
		t.Run(map[bool]string{true: "there", false: "missing"}[made], func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			dir := newGroup(t)
			if !made {
				dir = filepath.Join(dir, "new")
			}
			s := h.service("web", leader, "notes/escapee", polite)
			h.open("--cgroup=" + dir)
			s.says("up")
			if now := s.group(); now != filepath.Join(dir, "web", "run") {
				t.Errorf("the group is %s", now)
			}
			if now := groupOf(itoa(h.Pid()), ""); now != filepath.Join(dir, "supervisor") {
				t.Errorf("the daemon is in %s", now)
			}
			h.ends(syscall.SIGTERM, slack)
			if left := subgroups(dir); len(left) > 0 || read(filepath.Join(dir, "cgroup.procs")) != "" {
				t.Errorf("left in it: %v, %q", left, read(filepath.Join(dir, "cgroup.procs")))
			}
		})
	}
}

// TestTwoRoots: two daemons in one place keep apart.
func TestTwoRoots(t *testing.T) {
	t.Parallel()
	a, b := newHouse(t), newHouse(t)
	one, two := a.service("web", leader, "notes/escapee", polite), b.service("web", leader, "notes/escapee", polite)
	a.openShared()
	b.openShared()
	one.says("up")
	two.says("up")
	if one.group() == two.group() {
		t.Error("they share a group")
	}
	a.ends(syscall.SIGTERM, slack)
	lives(t, two.up(), two.pid("escaped"))
	b.ends(syscall.SIGTERM, slack)
}
