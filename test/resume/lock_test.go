package resume_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// TestLockOutlives: a daemon that was killed, or a child that it was about to start, may have a service's lock for a
// moment more. It is waited for without a word, and not as long as for another supervise.
func TestLockOutlives(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", long)
	h.open()
	pid := s.begun()
	h.kill()
	path := filepath.Join(s.super(), "lock")
	release, opened := locked(t, path), opens(t, path)
	begun := time.Now()
	h.open()
	for range 2 { // both before a word is said
		opened()
	}
	if said := h.Says("has the lock"); said && time.Since(begun) < time.Second {
		t.Error("a lock that may be an earlier upkeep's was reported at once")
	}
	release()
	s.supervised()
	s.same(pid, 1)
	h.ends(0)
}

// opens returns a function that waits until a file is opened.
func opens(t *testing.T, path string) func() {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, int(harness.Patience.Milliseconds()))
		for err == unix.EINTR {
			n, err = unix.Poll(p, int(harness.Patience.Milliseconds()))
		}
		if n != 1 {
			t.Fatalf("waited in vain until %s is opened: %v", path, err)
		}
		var one [unix.SizeofInotifyEvent]byte
		unix.Read(fd, one[:])
	}
}

// TestLockOutlivesPruned: it is waited for just so where the service is to be stopped, because its entry is gone.
func TestLockOutlivesPruned(t *testing.T) {
	h := newHouse(t, "--prune")
	s, entry := h.linked("web")
	h.open()
	pid := s.begun()
	h.kill()
	if err := os.Remove(entry); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.super(), "lock")
	for slow := true; slow; { // it is waited for without a word, and for the entry's sake, for a second only
		release, opened := locked(t, path), opens(t, path)
		begun := time.Now()
		h.open()
		for range 2 {
			opened()
		}
		release()
		if slow = time.Since(begun) > time.Second/2 && rig.Alive(pid); slow {
			h.kill()
		}
	}
	dies(t, pid)
	h.ends(0)
}

// locked takes the lock of a supervise directory until release is called.
func locked(t *testing.T, path string) (release func() error) {
	t.Helper()
	lock, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	return lock.Close
}
