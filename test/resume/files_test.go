package resume_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/reaper"
	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// edit changes what supervise/resume says of some keys; an empty value removes one.
func (s *service) edit(pairs ...string) {
	s.t.Helper()
	path := filepath.Join(s.super(), "resume")
	words := strings.Fields(read(path))
	for ; len(pairs) > 1; pairs = pairs[2:] {
		kept := words[:0]
		for _, w := range words {
			if !strings.HasPrefix(w, pairs[0]+"=") {
				kept = append(kept, w)
			}
		}
		words = kept
		if pairs[1] != "" {
			words = append(words, pairs[0]+"="+pairs[1])
		}
	}
	write(s.t, path, strings.Join(words, " ")+"\n")
}

// killed starts a service, kills the daemon and then the service, so that only what is on disk is left.
func killed(t *testing.T, wish string) (h *house, s *service, pid int) {
	t.Helper()
	h = newHouse(t)
	s = h.service("web", long)
	h.open()
	pid = s.begun()
	if wish != "" {
		s.svc(wish)
		s.phase("down")
	}
	h.kill()
	if wish == "" {
		kill(t, pid, syscall.SIGKILL)
		dies(t, pid)
	}
	for reaper.Tick() <= s.info().By { // of the same tick, and with the same pid, another process would be the same
		runtime.Gosched()
	}
	return h, s, pid
}

// TestOtherWorld: after a reboot nothing of before counts: a down file does, a wish does not.
func TestOtherWorld(t *testing.T) {
	h, s, _ := killed(t, "d")
	other := stranger(t)
	p, err := reaper.Look(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	s.edit("world", "00000000-0000-0000-0000-000000000000/1", "pid", fmt.Sprint(p.Pid), "start", fmt.Sprint(p.Start), "phase", "up")
	edit := filepath.Join(h.root, ".upkeep", "status")
	write(t, edit, strings.Replace(read(edit), "world=", "world=not", 1))
	h.open()
	harness.Eventually(t, "it is started", func() bool { return s.starts() == 2 })
	spared(t, s, other)
}

// spared fails the test unless a process lives on that is none of the service's, whatever the service is told.
func spared(t *testing.T, s *service, other *harness.Process) {
	t.Helper()
	pid := s.begun()
	if pid == other.Process.Pid {
		t.Fatal("a stranger was taken over")
	}
	s.svc("t")
	rig.NewPid(t, s.clients(), pid)
	s.svc("d")
	s.phase("down")
	s.svc("tk")
	s.h.ends(0)
	if !other.Running() || !rig.Alive(other.Process.Pid) {
		t.Error("a stranger was killed")
	}
}

// TestRecycled: a pid that is another process's by now is left alone.
func TestRecycled(t *testing.T) {
	for _, phase := range []string{"up", "stopping", "starting", "clearing", "waiting", "down"} {
		t.Run(phase, func(t *testing.T) {
			h, s, _ := killed(t, "")
			other := stranger(t)
			s.edit("pid", fmt.Sprint(other.Process.Pid), "phase", phase)
			h.open()
			s.supervised()
			if phase == "down" { // a file that lies is believed in what cannot harm
				s.svc("u")
			}
			harness.Eventually(t, "it is started", func() bool { return s.starts() == 2 })
			spared(t, s, other)
		})
	}
}

// TestOurOwnPid: a file that names the daemon itself or PID 1 brings nobody to harm.
func TestOurOwnPid(t *testing.T) {
	for _, pid := range []int{1, os.Getpid(), 0, -1, 1 << 30} {
		t.Run(fmt.Sprint(pid), func(t *testing.T) {
			h, s, _ := killed(t, "")
			s.edit("pid", fmt.Sprint(pid))
			h.open()
			harness.Eventually(t, "it is started", func() bool { return s.starts() == 2 })
			s.begun()
			h.ends(0)
		})
	}
}

// TestUnreadable: whatever is in place of the file, the service is supervised, and its process is found.
func TestUnreadable(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"garbage":   func(t *testing.T, path string) { write(t, path, "\x00\xff garbage = = \n") },
		"empty":     func(t *testing.T, path string) { write(t, path, "") },
		"cut":       func(t *testing.T, path string) { write(t, path, read(path)[:20]) },
		"huge":      func(t *testing.T, path string) { write(t, path, strings.Repeat("v=1 cause=", 1<<20)) },
		"directory": func(t *testing.T, path string) { replace(t, path, func() error { return os.Mkdir(path, 0o700) }) },
		"fifo":      func(t *testing.T, path string) { replace(t, path, func() error { return unix.Mkfifo(path, 0o700) }) },
		"missing":   func(t *testing.T, path string) { replace(t, path, func() error { return nil }) },
		"dangling":  func(t *testing.T, path string) { replace(t, path, func() error { return os.Symlink("nowhere", path) }) },
		"loop":      func(t *testing.T, path string) { replace(t, path, func() error { return os.Symlink("resume", path) }) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			s := h.service("web", long)
			h.open()
			pid := s.begun()
			h.kill()
			spoil(t, filepath.Join(s.super(), "resume"))
			h.open()
			s.supervised()
			s.same(pid, 1)
			s.svc("t")
			rig.NewPid(t, s.clients(), pid)
			h.ends(0)
			dies(t, pid)
		})
	}
}

func replace(t *testing.T, path string, by func() error) {
	t.Helper()
	err := os.Remove(path)
	if err == nil {
		err = by()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestOtherVersion: a daemon copes with what a later or an earlier one has written.
func TestOtherVersion(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", long, "down", "")
	off := h.service("off", long)
	h.open()
	s.supervised()
	s.svc("u")
	pid := s.begun()
	off.begun()
	off.svc("d")
	off.phase("down")
	for _, pairs := range [][]string{
		{"v", "2", "colour", "blue", "shape", "a%20square"},
		{"v", "0", "since", "", "after", "", "starts", "", "format", ""},
	} {
		h.kill()
		s.edit(pairs...)
		off.edit(pairs...)
		h.open()
		s.same(pid, 1)
		off.supervised()
		if v := off.view(); *v.Up {
			t.Errorf("a wish is lost: %+v", v)
		}
	}
}
