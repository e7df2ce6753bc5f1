package resume_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/test/harness"
)

// ready waits until a service counts as ready.
func (s *service) ready() {
	s.t.Helper()
	harness.Eventually(s.t, s.name()+" is ready", func() bool { return s.view().Phase == "ready" })
}

// fifos makes some, for a script that waits until it is fed.
func (s *service) fifos(names ...string) {
	s.t.Helper()
	for _, name := range names {
		if err := unix.Mkfifo(filepath.Join(s.dir, name), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// feed lets the script that reads a line from a FIFO go on.
func (s *service) feed(fifo string) {
	s.t.Helper()
	var f *os.File
	harness.Eventually(s.t, s.name()+" reads "+fifo, func() (ok bool) {
		var err error
		f, err = os.OpenFile(filepath.Join(s.dir, fifo), os.O_WRONLY|unix.O_NONBLOCK, 0)
		return err == nil
	})
	f.WriteString("\n")
	f.Close()
}

// TestReadinessIsNotLost: who says that it is ready while nobody is there, or later, is neither killed for that nor
// unheard.
func TestReadinessIsNotLost(t *testing.T) {
	scripts := map[string]string{
		"open":    "read l <go1; echo >&3; echo >>said; read l <go2; echo >&3; echo >>said; " + long,
		"closed":  "read l <go1; echo >&3; exec 3>&-; echo >>said; read l <go2; echo >>said; " + long,
		"by much": "read l <go1; echo >&3; echo >>said; read l <go2; head -c 300000 /dev/zero >&3; echo >>said; " + long,
	}
	ways(t, func(t *testing.T, h *house) {
		var services []*service
		for name, script := range scripts {
			for _, when := range []string{"meanwhile", "later"} {
				s := h.service(name+", "+when, script, "notification-fd", "3")
				s.fifos("go1", "go2")
				services = append(services, s)
			}
		}
		mute := h.service("mute", "exec 3>&-; "+long, "notification-fd", "3")
		h.open()
		before := make(map[*service]int)
		for _, s := range services {
			before[s] = s.begun()
		}
		mute.begun()
		harness.Eventually(t, "it has closed its descriptor", func() bool { return strings.Contains(mute.info().Note, "closed") })
		said := func(s *service, times int) { // it is told to go on, and does
			t.Helper()
			s.feed(fmt.Sprint("go", times))
			harness.Eventually(t, s.name()+" has said something", func() bool {
				return strings.Count(read(filepath.Join(s.dir, "said")), "\n") == times
			})
		}
		later := func(s *service) bool { return strings.HasSuffix(s.name(), "later") }
		h.kill()
		for _, s := range services {
			if !later(s) {
				said(s, 1)
			}
		}
		h.open()
		for _, s := range services {
			s.supervised()
			if later(s) {
				if v := s.view(); v.Phase != "up" {
					t.Errorf("%s is %q and has not said a word", s.name(), v.Phase)
				}
				said(s, 1)
			}
			s.ready()
		}
		h.again()
		for _, s := range services {
			said(s, 2)
			s.ready()
			s.same(before[s], 1)
		}
		if v := mute.view(); v.Phase != "up" {
			t.Errorf("who has closed its descriptor and said nothing is %q", v.Phase)
		}
		h.ends(0)
	})
}

// TestReadinessOfAnEarlierRun does not count.
func TestReadinessOfAnEarlierRun(t *testing.T) {
	h := newHouse(t, "--cgroup=off") // which would end what is left
	s := h.service("web", "[ -e left ] || { >left; read l <go && echo >&3 && echo >said & }; "+long, "notification-fd", "3")
	s.fifos("go")
	h.open()
	pid := s.begun()
	kill(t, pid, syscall.SIGKILL)
	harness.Eventually(t, "it runs again", func() bool { return s.starts() == 2 })
	s.begun()
	h.again()
	s.supervised()
	s.feed("go")
	harness.Eventually(t, "what is left of the first run says something", func() bool {
		return read(filepath.Join(s.dir, "said")) != ""
	})
	h.again()
	s.supervised()
	if v := s.view(); v.Phase != "up" {
		t.Errorf("it is %q, because an earlier run was", v.Phase)
	}
	h.ends(0)
}

// TestNotifySocketIsNotLost: it is there, and keeps what was said, while upkeep executes itself anew.
func TestNotifySocketIsNotLost(t *testing.T) {
	h := newHouse(t)
	// The service is told by the daemon where to speak, and the test speaks in its place, as its child does.
	s := h.service("web", "echo $NOTIFY_SOCKET >name; "+long, "notify-socket", "")
	h.open()
	pid := s.begun()
	name := func() string { return strings.TrimSpace(read(filepath.Join(s.dir, "name"))) }
	harness.Eventually(t, "it has a socket", func() bool { return name() != "" })
	h.listens()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var done atomic.Bool
	failed := make(chan error, 1)
	go func() {
		for n := 0; !done.Load(); n++ {
			if err := unix.Sendto(fd, []byte(fmt.Sprint("STATUS=", n)), 0, &unix.SockaddrUnix{Name: name()}); err != nil {
				failed <- fmt.Errorf("message %d: %w", n, err)
				return
			}
		}
		failed <- nil
	}()
	for range 5 {
		h.upgrade()
	}
	done.Store(true)
	if err := <-failed; err != nil {
		t.Error(err)
	}
	s.same(pid, 1)
	h.again()
	s.same(pid, 1)
	harness.Eventually(t, "it listens again", func() bool {
		return unix.Sendto(fd, []byte("STATUS=hello"), 0, &unix.SockaddrUnix{Name: name()}) == nil
	})
	h.ends(0)
}
