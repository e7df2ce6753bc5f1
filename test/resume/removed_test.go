package resume_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// linked makes a service whose entry is a link, and that knows nothing of it.
func (h *house) linked(name string) (s *service, entry string) {
	h.t.Helper()
	s = &service{h.t, h, rig.Service(h.t, filepath.Join(h.top, "elsewhere"), name, sh("echo $$ >>starts", long))}
	entry = filepath.Join(h.root, name)
	if err := os.Symlink(s.dir, entry); err != nil {
		h.t.Fatal(err)
	}
	return s, entry
}

// listed waits until an upkeep that comes after this one would know of the service.
func (s *service) listed() {
	s.t.Helper()
	list := filepath.Join(s.h.root, ".upkeep", "services")
	harness.Eventually(s.t, list+" names "+s.dir, func() bool { return strings.Contains(read(list), fmt.Sprintf("%q", s.dir)) })
}

// leaves tells it to leave, until it has.
func (s *service) leaves(pid int) {
	s.t.Helper()
	harness.Eventually(s.t, s.dir+" is left", func() bool {
		harness.Run(s.t, s.h.program, "svc", "-dx", s.dir)
		_, code := harness.Run(s.t, s.h.program, "svok", s.dir)
		return code == 100 && !rig.Alive(pid)
	})
}

// TestRemoved: a service that runs is found again although its entry was removed before upkeep was killed, or while
// nobody was there.
func TestRemoved(t *testing.T) {
	for _, while := range []bool{false, true} {
		t.Run(fmt.Sprint(while), func(t *testing.T) {
			h := newHouse(t)
			s, entry := h.linked("web")
			h.open()
			pid := s.begun()
			s.listed()
			remove := func() {
				if err := os.Remove(entry); err != nil {
					t.Fatal(err)
				}
			}
			if while {
				h.kill()
				remove()
				h.open()
			} else {
				remove()
				h.EventuallySays("web", "it was removed from")
				h.again()
			}
			h.EventuallySays("web", "it was removed from")
			s.same(pid, 1)
			s.leaves(pid)
			h.ends(0)
		})
	}
}

// TestRemovedAtAnyTime: whenever the entry is removed while a new upkeep finds what runs, it is found.
func TestRemovedAtAnyTime(t *testing.T) {
	h := newHouse(t)
	s, entry := h.linked("web")
	for round := range 12 {
		h.open()
		pid := s.begun()
		s.listed()
		h.kill()
		h.open()
		time.Sleep(time.Duration(round) * 3 * time.Millisecond) // it need not hit anything
		if err := os.Remove(entry); err != nil {
			t.Fatal(err)
		}
		s.leaves(pid)
		if err := os.Symlink(s.dir, entry); err != nil {
			t.Fatal(err)
		}
		h.ends(0)
	}
}

// TestRemovedDuringUpgrade: a service that was made a moment ago, and whose entry goes while upkeep is executed anew.
func TestRemovedDuringUpgrade(t *testing.T) {
	h := newHouse(t)
	h.open()
	h.listens()
	for i := range 10 {
		s, entry := h.linked(fmt.Sprint("web", i))
		pid := s.begun()
		before := h.resumed()
		h.Process.Process.Signal(syscall.SIGUSR1)
		harness.Eventually(t, "it is another program", func() bool { return h.resumed() > before })
		if err := os.Remove(entry); err != nil {
			t.Fatal(err)
		}
		s.leaves(pid)
	}
	h.ends(0)
}

// TestRemovedAtOnce: a service that was only just started is known to whoever comes after upkeep was killed.
func TestRemovedAtOnce(t *testing.T) {
	h := newHouse(t)
	h.open()
	h.listens()
	for i := range 10 {
		s, entry := h.linked(fmt.Sprint("web", i))
		harness.Eventually(t, "it is started", func() bool { return s.starts() == 1 })
		h.kill()
		if err := os.Remove(entry); err != nil {
			t.Fatal(err)
		}
		h.open()
		s.supervised()
		pid := s.begun()
		s.same(pid, 1)
		s.leaves(pid)
	}
	h.ends(0)
}

// TestMovedAway: a directory that is no link is followed when it is renamed, as the family's manuals say that a service
// is removed, and found again by whoever comes after upkeep was killed.
func TestMovedAway(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", long)
	h.open()
	pid := s.begun()
	other, away := filepath.Join(h.root, "other"), filepath.Join(h.top, "away")
	rename(t, s.dir, other)
	s.dir = other
	s.listed()
	s.same(pid, 1)
	rename(t, other, away)
	s.dir = away
	s.listed()
	h.EventuallySays("other", "it was removed from", "svc -dx "+away)
	s.same(pid, 1)
	h.again()
	h.EventuallySays("other", "it was removed from", "svc -dx "+away)
	s.same(pid, 1)
	s.leaves(pid)
	h.ends(0)
}

// TestRenamedIsWatched: what changes in a directory that was renamed is noticed.
func TestRenamedIsWatched(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", long)
	h.open()
	s.begun()
	other := filepath.Join(h.root, "other")
	rename(t, s.dir, other)
	s.dir = other
	s.listed()
	s.watched()
	h.ends(0)
}

// watched fails the test unless it is noticed that the service gets a log directory.
func (s *service) watched() {
	s.t.Helper()
	s.logger()
	harness.Eventually(s.t, "svstat tells of the log directory", func() bool {
		return strings.Contains(rig.Client(s.t, "svstat", "--long", s.dir), "log/ appeared")
	})
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestReleasedStays: a service that was told to leave is not found again, and whoever works in its directory since is
// left alone.
func TestReleasedStays(t *testing.T) {
	for _, options := range [][]string{nil, {"--cgroup=off"}} {
		t.Run(fmt.Sprint(options), func(t *testing.T) {
			h := newHouse(t, options...)
			web, webEntry := h.linked("web")
			other, otherEntry := h.linked("other")
			h.open()
			pid, otherPid := web.begun(), other.begun()
			for _, entry := range []string{webEntry, otherEntry} {
				if err := os.Remove(entry); err != nil {
					t.Fatal(err)
				}
			}
			web.leaves(pid)
			cmd := exec.Command("sleep", "1000000")
			cmd.Dir, cmd.SysProcAttr = web.dir, &syscall.SysProcAttr{Setsid: true}
			someone := harness.Start(t, syscall.SIGKILL, cmd)
			h.again()
			h.EventuallySays("other", "it was removed from")
			other.same(otherPid, 1)
			h.ends(0)
			dies(t, otherPid)
			if web.starts() != 1 {
				t.Error("it was started again")
			}
			if !someone.Running() || !rig.Alive(someone.Process.Pid) {
				t.Error("a stranger was ended")
			}
		})
	}
}

// TestExchanged: two directories that take each other's place are both watched.
func TestExchanged(t *testing.T) {
	h := newHouse(t)
	a, b := h.service("a", long), h.service("b", long)
	h.open()
	a.begun()
	b.begun()
	if err := unix.Renameat2(unix.AT_FDCWD, a.dir, unix.AT_FDCWD, b.dir, unix.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "both are known by their new names", func() bool {
		list := read(filepath.Join(h.root, ".upkeep", "services"))
		return strings.Contains(list, fmt.Sprintf("%q %q", "a", a.dir)) && strings.Contains(list, fmt.Sprintf("%q %q", "b", b.dir)) &&
			a.view().Pid != 0 && b.view().Pid != 0
	})
	a.watched()
	b.watched()
	h.ends(0)
}
