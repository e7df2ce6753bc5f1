package resume_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// crowd adds services, of which some run when it returns.
func (h *house) crowd(n int) {
	h.t.Helper()
	var dirs []string
	for i := range n {
		dirs = append(dirs, rig.Service(h.t, filepath.Join(h.top, "crowd"), fmt.Sprint("c", i), sh(long)))
	}
	for _, dir := range dirs {
		if err := os.Symlink(dir, filepath.Join(h.root, filepath.Base(dir))); err != nil {
			h.t.Fatal(err)
		}
	}
	harness.Eventually(h.t, "some of them run", func() bool {
		s, ok := rig.StatusOf(filepath.Join(dirs[0], "supervise"))
		return ok && s.Pid != 0
	})
}

// TestWishInACrowd: what was wanted of a service while many others are started holds after a crash.
func TestWishInACrowd(t *testing.T) {
	h := newHouse(t)
	web, once := h.service("web", long), h.service("once", "exit 0")
	harness.WriteFile(t, filepath.Join(once.dir, "down"), "", 0o644)
	h.open()
	pid := web.begun()
	once.supervised()
	h.crowd(300)
	web.svc("d")
	once.svc("o")
	harness.Eventually(t, "it has ended", func() bool { return rig.Ended(pid) })
	web.phase("down")
	harness.Eventually(t, "the other has run", func() bool { i := once.info(); return i.Phase == "down" && i.Ended != nil })
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

// TestWaitingOnce: who is to run once and still waits for something has not run.
func TestWaitingOnce(t *testing.T) {
	ways(t, func(t *testing.T, h *house) {
		s := h.service("web", "exit 0", "down", "", "trigger", filepath.Join(h.top, "pid"))
		h.open()
		s.supervised()
		s.svc("o")
		waits := func() {
			t.Helper()
			harness.Eventually(t, "it waits", func() bool { v := s.view(); return v.Phase == "waiting" && v.Want == "once" })
		}
		waits()
		h.again()
		s.supervised()
		waits()
		if n := s.starts(); n != 0 {
			t.Errorf("it was started %d times", n)
		}
		harness.WriteFile(t, filepath.Join(h.top, "pid"), fmt.Sprint(os.Getpid()), 0o644)
		harness.Eventually(t, "it has run", func() bool { return s.starts() == 1 && s.view().Phase == "down" })
		h.ends(0)
	})
}

// TestLeftoverIsNotTaken for a service that was about to be started when the daemon was killed.
func TestLeftoverIsNotTaken(t *testing.T) {
	h := newHouse(t, "--cgroup=off") // where only its directory tells what a process belongs to
	left := "[ -e left ] || { setsid sleep 1000000 & echo $! >left; }\n"
	web := h.service("web", left+long)
	scripted := h.service("scripted", long, "down", "")
	harness.WriteFile(t, filepath.Join(scripted.dir, "control", "u"), sh("[ -e left ] || { echo $$ >left; "+long+"; }"), 0o755)
	h.open()
	leftover := make(map[*service]int)
	leaves := func(s *service) {
		harness.Eventually(t, s.name()+" has left something", func() bool {
			leftover[s] = atoi(strings.TrimSpace(read(filepath.Join(s.dir, "left"))))
			return leftover[s] != 0
		})
		t.Cleanup(func() { syscall.Kill(leftover[s], syscall.SIGKILL) })
	}
	leaves(web)
	web.begun()
	web.svc("d")
	web.phase("down")
	scripted.supervised()
	scripted.svc("u")
	leaves(scripted)
	h.crowd(300)
	web.svc("u")
	harness.Eventually(t, "it is to be started", func() bool { return web.info().Phase != "down" })
	h.again()
	for _, s := range []*service{web, scripted} {
		s.supervised()
		harness.Eventually(t, s.name()+" runs", func() bool { return s.view().Pid != 0 && s.view().Phase == "up" })
		if v := s.view(); v.Pid == leftover[s] {
			t.Errorf("%s is what was left in its directory: %+v", s.name(), v)
		}
	}
	h.ends(0)
}

// TestWishBehindScript: what was asked for while control/u runs is done after a crash and an upgrade, too.
func TestWishBehindScript(t *testing.T) {
	for _, way := range []string{"kill", "upgrade"} {
		t.Run(way, func(t *testing.T) {
			h := newHouse(t)
			s := h.service("web", long, "down", "")
			harness.WriteFile(t, filepath.Join(s.dir, "control", "u"), sh("[ ! -e left ] || exit 0", "echo $$ >left", long), 0o755)
			h.open()
			s.supervised()
			s.svc("u")
			left := 0
			harness.Eventually(t, "control/u runs", func() bool {
				left = atoi(strings.TrimSpace(read(filepath.Join(s.dir, "left"))))
				return left != 0
			})
			t.Cleanup(func() { syscall.Kill(left, syscall.SIGKILL) })
			s.svc("d")
			harness.Eventually(t, "that is recorded", func() bool { return s.info().Letters == "d" })
			if way == "kill" {
				h.again()
			} else {
				h.listens()
				h.upgrade()
			}
			s.supervised()
			harness.Eventually(t, "it is down", func() bool { v := s.view(); return v.Phase == "down" && v.Want == "down" })
			h.ends(0)
		})
	}
}
