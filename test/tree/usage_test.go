package tree_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// TestUsage: svstat says what the whole tree uses.
func TestUsage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", "(setsid sleep 1000000 &)\nsleep 1000000 &\nuntil [ -e enough ]; do :; done\nexec sleep 1000000")
	never := rig.Service(t, filepath.Join(h.top, "elsewhere"), "never", rig.Sleeper)
	h.open()
	v := s.await("three tasks", func(v view) bool { return v.Usage != nil && v.Usage.Tasks != nil && *v.Usage.Tasks == 3 })
	if v.Usage.CPU == nil {
		t.Fatal("no cpu time")
	}
	before := *v.Usage.CPU
	s.await("using the processor", func(v view) bool { return v.Usage != nil && v.Usage.CPU != nil && *v.Usage.CPU > before })
	s.tell("enough")
	if len(v.Usage.Pressure) != 3 {
		t.Errorf("pressure: %v", v.Usage.Pressure)
	}
	for kind, p := range v.Usage.Pressure {
		if gone(filepath.Join(s.group(), kind+".pressure")) {
			continue // the kernel does not count it
		}
		if read(filepath.Join(s.group(), kind+".pressure")) != "" && (p == nil || p.Some == nil || p.Full == nil || *p.Some < 0 || *p.Some > 100) {
			t.Errorf("pressure of %s: %+v", kind, p)
		}
	}
	for _, line := range []string{"tasks      3", "cpu time   "} {
		harness.Eventually(t, "svstat --long has a line "+line, func() bool { return has(rig.Client(t, "svstat", "--long", s.dir), line) })
	}
	if v := views(t, never)[0]; v.Cgroup != nil || v.Usage != nil {
		t.Errorf("a service that is not supervised has a group: %+v", v)
	}
	s.svc("d")
	s.await("no tasks", func(v view) bool { return v.Usage != nil && v.Usage.Tasks != nil && *v.Usage.Tasks == 0 })
	h.ends(syscall.SIGTERM, slack)
	if v := s.view(); v.Usage != nil {
		t.Errorf("it uses something when all has ended: %+v", v.Usage)
	}
}

// TestMemoryUsage: the memory of a service with a limit on it is shown wherever it is counted.
func TestMemoryUsage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.needController("memory")
	s := h.service("web", "echo up >>said\nexec sleep 1000000", "cgroup/memory.max", "64M\n")
	h.open()
	s.says("up")
	v := s.phase("up")
	if v.Usage == nil || v.Usage.Memory == nil || *v.Usage.Memory == 0 {
		t.Errorf("its usage is %+v", v.Usage)
	}
	if long := rig.Client(t, "svstat", "--long", s.dir); !has(long, "memory     ") {
		t.Errorf("svstat --long has no line about memory: %s", long)
	}
	h.ends(syscall.SIGTERM, slack)
}
