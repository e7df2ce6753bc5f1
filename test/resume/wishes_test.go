package resume_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// TestWishInACrowd: what was wanted of a service while many others are started holds after a crash.
func TestWishInACrowd(t *testing.T) {
	h := newHouse(t)
	web, once := h.service("web", long), h.service("once", "exit 0")
	harness.WriteFile(t, filepath.Join(once.dir, "down"), "", 0o644)
	h.open()
	pid := web.begun()
	once.supervised()
	crowd := filepath.Join(h.top, "crowd")
	var dirs []string
	for i := range 300 {
		dirs = append(dirs, rig.Service(t, crowd, fmt.Sprint("c", i), sh(long)))
	}
	for _, dir := range dirs {
		if err := os.Symlink(dir, filepath.Join(h.root, filepath.Base(dir))); err != nil {
			t.Fatal(err)
		}
	}
	harness.Eventually(t, "some of them run", func() bool {
		s, ok := rig.StatusOf(filepath.Join(dirs[0], "supervise"))
		return ok && s.Pid != 0
	})
	web.svc("d")
	once.svc("o")
	harness.Eventually(t, "it has ended", func() bool { return rig.Ended(pid) })
	harness.Eventually(t, "the other has run", func() bool { return once.starts() == 1 && once.view().Pid == 0 })
	web.view() // which takes longer than it takes to record that
	h.again()
	for _, s := range []*service{web, once} {
		s.supervised()
		s.phase("down")
		if n := s.starts(); n != 1 {
			t.Errorf("%s was started %d times", s.name(), n)
		}
	}
	h.ends(0)
}
