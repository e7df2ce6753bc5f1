package resume_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"upkeep/fsstate"
	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// every is of how many system calls one is tried; 1 takes minutes.
var every = flag.Int("every", 29, "TestPoints kills the daemon at one of so many `calls`")

// TestPoints: the daemon is killed at the n-th system call that it makes while it begins, starts a service and its
// logger, stops it, starts it again, sees it killed and is upgraded. Whenever that is, the next daemon has one copy of
// each, which has said that it is ready, or none when it is told so.
func TestPoints(t *testing.T) {
	h := newHouse(t)
	calls := h.suffer(1 << 30)
	t.Logf("%d calls in all", calls)
	h.recovers()
	for n := 1; n <= calls; n += *every {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			h := newHouse(t)
			h.suffer(n)
			h.recovers()
		})
	}
}

// suffer has a daemon do all that it does for a service, until it has ended in its n-th system call. One that has come
// through is killed. It returns how many calls there were.
func (h *house) suffer(n int) (calls int) {
	h.t.Helper()
	s := h.service("web", "echo >&3; "+[]string{"", "exec 3>&-; "}[n%2]+long, "notification-fd", "3")
	s.logger()
	h.open(rig.Helper(h.t, "killat", fmt.Sprint(n))...)
	until := func(what string, cond func() bool) {
		h.t.Helper()
		harness.Eventually(h.t, what+", or the daemon has ended", func() bool { return cond() || !h.Running() })
	}
	until("it is started", func() bool { return s.pid() != 0 })
	for _, letter := range "dukd" {
		before := s.pid()
		s.tell(string(letter))
		until(fmt.Sprintf("%c is obeyed", letter), func() bool {
			switch now := s.pid(); letter {
			case 'd':
				return now == 0
			case 'k':
				return now != 0 && now != before
			default:
				return now != 0
			}
		})
		if letter == 'k' {
			h.signal(syscall.SIGUSR1)
			until("it is upgraded", func() bool { return strings.Contains(ctlSays(h.t, h, "status"), "resumed 1\n") })
		}
	}
	h.signal(syscall.SIGKILL)
	h.Wait()
	_, said, _ := strings.Cut(h.Output(), "killed after ")
	if _, err := fmt.Sscanf(said, "%d calls", &calls); err != nil {
		h.t.Fatalf("%v: %s", err, h.Output())
	}
	return calls
}

// has tells whether the daemon has a file open.
func (h *house) has(path string) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", h.Pid()))
	return slices.ContainsFunc(fds, func(fd string) bool { to, _ := os.Readlink(fd); return to == path })
}

// explain says how it is.
func (s *service) explain() string {
	st, _ := rig.StatusOf(s.super())
	text := fmt.Sprintf("%s: status %+v, resume %s", s.dir, st, read(s.super()+"/resume"))
	for _, pid := range workers(s.dir) {
		text += read(fmt.Sprintf("/proc/%d/stat", pid))
	}
	return text
}

// signal sends a signal to the daemon, which is not our child, if there is one.
func (h *house) signal(sig syscall.Signal) {
	i, err := fsstate.ParseInfo([]byte(read(filepath.Join(h.root, ".upkeep", "status"))))
	if err == nil && h.Running() {
		syscall.Kill(i.Pid, sig)
	}
}

// recovers starts another daemon, which has one copy of the service and its logger, or none when it is told so.
func (h *house) recovers() {
	h.t.Helper()
	s := &service{h.t, h, filepath.Join(h.root, "web")}
	log := &service{h.t, h, filepath.Join(s.dir, "log")}
	defer func() {
		if h.t.Failed() {
			h.t.Logf("%s%s%s", s.explain(), log.explain(), h.Output())
		}
	}()
	h.open()
	// What the one before has forked can have its descriptors still, and svok and letters would be content with that.
	harness.Eventually(h.t, "the daemon reads control", func() bool { return h.has(s.super() + "/control") })
	s.tell("u")
	for _, s := range []*service{s, log} {
		harness.Eventually(h.t, "there is one copy of "+s.dir+", which is recorded", func() bool {
			return s.pid() != 0 && rig.Alive(s.pid()) && working(s.dir) == 1
		})
	}
	harness.Eventually(h.t, "it is ready, which it has said once", func() bool { return s.info().Phase == "ready" })
	s.tell("d")
	harness.Eventually(h.t, "there is no copy", func() bool { return s.pid() == 0 && working(s.dir) == 0 })
	h.ends(0)
	if n := working(log.dir); n != 0 {
		h.t.Errorf("%d loggers are left", n)
	}
}

// pid is the process that the status names, or 0.
func (s *service) pid() int {
	st, _ := rig.StatusOf(s.super())
	return st.Pid
}

// tell writes letters if somebody listens.
func (s *service) tell(letters string) {
	fd, err := syscall.Open(s.super()+"/control", syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer syscall.Close(fd)
	syscall.Write(fd, []byte(letters))
}
