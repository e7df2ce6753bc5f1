package conformance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/test/harness"
)

// logged makes a service with a logger that appends each line to the file "current".
func (h *house) logged(name, behaviour string) (s, log *service) {
	h.t.Helper()
	s = h.bare(name)
	s.become(behaviour)
	log = h.bare(name + "/log")
	log.become(logger)
	h.list(s)
	return s, log
}

// TestNoLineIsLost kills the service and its logger in turn, many times. What the service writes while
// nobody reads stays in the pipe. The logger is killed while it waits for input, since a logger takes the
// line that it has read with it.
func TestNoLineIsLost(t *testing.T) {
	const rounds = 20
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s, log := h.logged("web", writer)
		h.open()
		s.await("up/u 1")
		log.await("up/u 1")
		written := 0
		write := func() {
			// Straight to the process: a letter can wait for a second with daemontools.
			syscall.Kill(s.pid(), syscall.SIGALRM)
			written += batch
			harness.Eventually(t, "the lines are written", func() bool {
				b, _ := os.ReadFile(filepath.Join(s.dir, "written"))
				return string(b) == fmt.Sprint(written)
			})
		}
		read := func() {
			harness.Eventually(t, "the lines are logged", func() bool { return log.lines() == written })
		}
		starts, logStarts := 1, 1
		for i := range rounds {
			write()
			read()
			log.kill()
			logStarts++
			write() // perhaps before there is a logger
			if i%3 == 0 {
				s.kill()
				starts++
				s.await(fmt.Sprintf("up/u %d", starts))
			}
			log.await(fmt.Sprintf("up/u %d", logStarts))
			read()
		}
		for i, line := range log.text() {
			if want := fmt.Sprintf("line %d", i+1); line != want {
				t.Fatalf("line %d of the log is %q", i+1, line)
			}
		}
	})
}

// TestLinesWaitForTheLogger writes while the logger is down; all arrives once it is up.
func TestLinesWaitForTheLogger(t *testing.T) {
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s, log := h.logged("web", writer)
		h.open()
		s.await("up/u 1")
		log.await("up/u 1")
		log.svc("-d")
		log.await("down/d 1 TERM")
		s.svc("-a")
		harness.Eventually(t, "the lines are written", func() bool {
			b, _ := os.ReadFile(filepath.Join(s.dir, "written"))
			return string(b) == fmt.Sprint(batch)
		})
		s.svc("-t") // the pipe outlives the writer, too
		s.await("up/u 2 TERM")
		if n := log.lines(); n != 0 {
			t.Errorf("%d lines without a logger", n)
		}
		log.svc("-u")
		log.await("up/u 2 TERM")
		harness.Eventually(t, "the lines are logged", func() bool { return log.lines() == batch })
	})
}

// TestLogAppearsLater: whether there is a logger is decided when the service is taken up.
func TestLogAppearsLater(t *testing.T) {
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("web", plain)
		h.open()
		s.await("up/u 1")
		log := h.bare("web/log")
		log.become(logger)
		newcomer, newlog := h.logged("newcomer", plain) // once this runs, the root has been read again
		newcomer.await("up/u 1")
		newlog.await("up/u 1")
		s.svc("-t")
		s.await("up/u 2 TERM")
		if log.supervised() {
			t.Error("a logger that came later is supervised")
		}
	})
}

// kill ends the process from outside and waits until it, and every thread of it, is no more.
func (s *service) kill() {
	s.h.t.Helper()
	pidfd, err := unix.PidfdOpen(s.pid(), 0)
	if err != nil {
		s.h.t.Fatalf("%s: %v", s.name, err)
	}
	defer unix.Close(pidfd)
	unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	// Until its last thread is gone one can still read what is written by then.
	harness.Eventually(s.h.t, s.name+" is dead", func() bool {
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0)
		return n == 1
	})
}

func (s *service) text() []string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "current"))
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func (s *service) lines() int {
	b, _ := os.ReadFile(filepath.Join(s.dir, "current"))
	return strings.Count(string(b), "\n")
}
