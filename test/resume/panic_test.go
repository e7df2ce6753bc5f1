package resume_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"upkeep/fsstate"
	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// breakableHouse is one whose daemon can be told to panic.
func breakableHouse(t *testing.T) *house {
	t.Helper()
	path, err := breakable()
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	h.program = path
	return h
}

// letter writes a byte that no client sends into control.
func (s *service) letter(c string) {
	s.t.Helper()
	write := func() bool {
		fd, err := syscall.Open(filepath.Join(s.super(), "control"), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if err != nil {
			return false
		}
		defer syscall.Close(fd)
		_, err = syscall.Write(fd, []byte(c))
		return err == nil
	}
	harness.Eventually(s.t, s.name()+" takes a letter", write)
}

// breaks has the daemon panic.
func (h *house) breaks() {
	h.t.Helper()
	if _, err := fsstate.Ask(filepath.Join(h.root, ".upkeep"), "panic", time.Second); err == nil {
		h.t.Fatal("an order to panic is answered")
	}
}

// TestServicePanics: one Supervisor that panics is replaced; nothing else notices.
func TestServicePanics(t *testing.T) {
	for _, letter := range []string{"!", "?"} {
		t.Run(letter, func(t *testing.T) {
			h := breakableHouse(t)
			s, other := h.service("web", long), h.service("other", long)
			s.logger()
			down := h.service("down", long)
			h.open()
			pid, otherPid := s.begun(), other.begun()
			logPid := rig.Up(t, filepath.Join(s.dir, "log"))
			down.begun()
			down.svc("d")
			down.phase("down")
			// Until whoever takes its place opens the lock, the Supervisor that has panicked seems to be there.
			again, downAgain := opens(t, filepath.Join(s.super(), "lock")), opens(t, filepath.Join(down.super(), "lock"))
			down.letter(letter)
			s.svc("o")
			harness.Eventually(t, "it is wanted once", func() bool { return s.view().Want == "once" })
			s.letter(letter)
			harness.Eventually(t, "the panics are said", func() bool { return h.Says("web", "panic:") && h.Says("down", "panic:") })
			again()
			downAgain()
			s.supervised()
			s.same(pid, 1)
			other.same(otherPid, 1)
			down.supervised()
			if v := s.view(); v.Want != "once" {
				t.Errorf("a wish is lost: %+v", v)
			}
			if v := down.view(); *v.Up {
				t.Errorf("a wish is lost: %+v", v)
			}
			if n := h.resumed(); n != 0 {
				t.Errorf("the daemon was resumed %d times", n)
			}
			if got := rig.Up(t, filepath.Join(s.dir, "log")); got != logPid {
				t.Errorf("the logger has pid %d, had %d", got, logPid)
			}
			// Again, at once: then it takes a while, and the process still is the same.
			s.letter(letter)
			harness.Eventually(t, "it panics again", func() bool { return strings.Count(h.Output(), "warning: web: panic:") == 2 })
			again()
			s.same(pid, 1)
			s.svc("u")
			harness.Eventually(t, "it is wanted up", func() bool { return s.view().Want == "up" })
			s.svc("t")
			rig.NewPid(t, s.dir, pid)
			h.ends(0)
			dies(t, pid)
		})
	}
}

// TestDaemonPanics: the daemon is executed anew in its own place.
func TestDaemonPanics(t *testing.T) {
	for name, pid1 := range map[string]bool{"PID 1": true, "subreaper": false} {
		t.Run(name, func(t *testing.T) {
			h := breakableHouse(t)
			h.pid1 = pid1
			s, down := h.service("web", long), h.service("down", long)
			s.logger()
			h.open()
			pid := s.begun()
			down.begun()
			down.svc("d")
			down.phase("down")
			h.listens()
			daemon := h.Pid()
			h.breaks()
			if n := h.resumed(); n != 1 {
				t.Errorf("resumed %d times", n)
			}
			down.supervised()
			s.supervised()
			if again := s.begun(); again != pid || s.starts() != 1 || !h.Running() || h.Pid() != daemon {
				t.Errorf("the service has pid %d, had %d", again, pid)
			}
			if v := down.view(); *v.Up {
				t.Errorf("a wish is lost: %+v", v)
			}
			if !h.Says("panic: an order asked for it") || !h.Says("goroutine") {
				t.Error("the panic is not reported")
			}
			s.svc("t")
			harness.Eventually(t, "it is started again", func() bool { return s.starts() == 2 })
			h.ends(0)
		})
	}
}

// TestPanicsInARow: it pauses, longer each time, and its services run on.
func TestPanicsInARow(t *testing.T) {
	h := breakableHouse(t)
	s := h.service("web", long)
	h.open()
	pid := s.begun()
	h.listens()
	for i := range 3 {
		h.breaks()
		harness.Eventually(t, "the panic is reported", func() bool { return strings.Count(h.Output(), "panic: an order asked for it") == i+1 })
		if n := h.resumed(); n != i+1 {
			t.Errorf("resumed %d times", n)
		}
		s.same(pid, 1)
	}
	for _, words := range []string{"2 panics in a row; the services run on, and it goes on in 1s", "3 panics in a row; the services run on, and it goes on in 2s"} {
		h.EventuallySays(words)
	}
	h.ends(0)
	dies(t, pid)
}
