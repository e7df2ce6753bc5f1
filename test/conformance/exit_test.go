package conformance_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// TestExitOfListedService: supervision ends, and begins again because the entry is still there.
func TestExitOfListedService(t *testing.T) {
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		down := h.service("down", plain)
		down.touch("down")
		up := h.service("up", plain)
		h.open()
		up.await("up/u 1")
		down.await("down/d 0")
		down.svc("-o")
		down.await(once("up", "1").on(p))
		down.remove("down")
		for _, s := range []*service{down, up} {
			old := s.status()
			s.svc("-dx")
			harness.Eventually(t, s.name+" is released", func() bool { return !s.supervised() || string(s.status()[:12]) != string(old[:12]) })
			s.await("up/u 2 TERM") // "down" is gone
		}
	})
}

// TestRemoval is the family's way to get rid of a service with a logger: unlink it, then take both down
// through a path that still reaches them.
func TestRemoval(t *testing.T) {
	each(t, []peer{daemontools, upkeep, ourClients, foreignClients}, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s, log := h.logged("web", plain)
		other := h.service("other", plain)
		h.open()
		for _, s := range []*service{s, log, other} {
			s.await("up/u 1")
		}
		h.unlist(s)
		// Removing has stopped nothing.
		other.svc("-t")
		other.await("up/u 2 TERM")
		other.svc("-t")
		other.await("up/u 3 TERM TERM")
		s.await("up/u 1")
		log.await("up/u 1")
		if p.ours() { // diff("messages")
			harness.Eventually(t, "it is said that the entry was removed", func() bool {
				return strings.Contains(h.complaints("web: it was removed from ROOT"), "svc -dx SERVICES/web")
			})
		}
		out, code := harness.Run(t, p.client(t, "svc"), "-dx", s.dir, log.dir)
		if out != "" || code != 0 {
			t.Errorf("svc -dx: code %d, %s", code, out)
		}
		s.await("gone 1 TERM")
		log.await("gone 1 TERM")
		for _, s := range []*service{s, log} {
			if out, code := harness.Run(t, p.client(t, "svok"), s.dir); out != "" || code != 100 {
				t.Errorf("svok %s: code %d, %s", s.name, code, out)
			}
			s.checkSvstat()
			harness.Eventually(t, "the lock of "+s.name+" is free", s.lockIsFree)
		}
		other.await("up/u 3 TERM TERM")
	})
}

// TestRemovalOfDeletedDirectory removes the directory itself under a running service.
func TestRemovalOfDeletedDirectory(t *testing.T) {
	each(t, []peer{daemontools, upkeep}, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("web", plain)
		h.open()
		s.await("up/u 1")
		pid := s.pid()
		h.unlist(s)
		moved := h.at("services/.moved")
		if err := os.Rename(s.dir, moved.dir); err != nil {
			t.Fatal(err)
		}
		moved.await("up/u 1") // it is the same directory by another name
		moved.svc("-t")
		moved.await("up/u 2 TERM")
		if moved.pid() == pid {
			t.Error("the same process")
		}
		moved.svc("-dx")
		moved.await("gone 2 TERM TERM")
	})
}

// TestExitOfOneHalf takes away only the main process, or only the logger, of a pair that isn't listed.
func TestExitOfOneHalf(t *testing.T) {
	each(t, []peer{daemontools, upkeep}, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		a, alog := h.logged("a", plain)
		b, blog := h.logged("b", plain)
		h.open()
		for _, s := range []*service{a, alog, b, blog} {
			s.await("up/u 1")
		}
		h.unlist(a)
		h.unlist(b)
		a.svc("-dx")
		a.await("gone 1 TERM")
		blog.svc("-dx")
		blog.await("gone 1 TERM")
		// The other half goes on, and can be restarted.
		alog.svc("-t")
		alog.await("up/u 2 TERM")
		b.svc("-t")
		b.await("up/u 2 TERM")
	})
}

// lockIsFree tells whether a supervisor could take the service.
func (s *service) lockIsFree() bool {
	f, err := os.Open(filepath.Join(s.dir, "supervise/lock"))
	if err != nil {
		s.h.t.Fatal(err)
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
