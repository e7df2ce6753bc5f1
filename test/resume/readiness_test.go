package resume_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
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
		harness.Eventually(t, "it has closed its descriptor", func() bool { return mute.info().Notice == "closed" })
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
	s := h.service("web", "[ -e left ] || { { echo >left; read l <go; echo >&3; echo >said; } & }; "+long, "notification-fd", "3")
	s.fifos("go")
	h.open()
	pid := s.begun()
	harness.Eventually(t, "it will leave something", func() bool { return read(filepath.Join(s.dir, "left")) != "" })
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

// TestReadinessThatCannotBeSaid is none, though an earlier run has left what to say it with.
func TestReadinessThatCannotBeSaid(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", long, "notification-fd", "3")
	h.open()
	s.begun()
	file := filepath.Join(s.dir, "notification-fd")
	os.Remove(file)
	s.svc("t")
	harness.Eventually(t, "it runs again", func() bool { return s.starts() == 2 })
	s.begun()
	harness.WriteFile(t, file, "3", 0o644)
	h.again()
	s.supervised()
	if v := s.view(); v.Phase != "up" {
		t.Errorf("it is %q", v.Phase)
	}
	h.ends(0)
}

// say sends a datagram to the socket that the environment names, and ends when it was read: until then it can be seen
// whose process it is. As systemd-notify does, it passes a descriptor with another datagram, and waits until that is
// closed.
func say(args []string) {
	name := os.Getenv("NOTIFY_SOCKET")
	r, w, err := os.Pipe()
	if err == nil {
		err = sendTo(name, args[0])
	}
	if err == nil {
		err = sendTo(name, "BARRIER=1", unix.UnixRights(int(w.Fd()))...)
	}
	if err == nil {
		w.Close()
		_, err = r.Read(make([]byte, 1))
	}
	if err != io.EOF {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
}

func sendTo(name, text string, rights ...byte) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendmsg(fd, []byte(text), rights, &unix.SockaddrUnix{Name: name}, 0)
}

// TestStatusIsNotLost: what a service has said about itself a moment before an upgrade is known after it.
func TestStatusIsNotLost(t *testing.T) {
	h := newHouse(t)
	says := func(text string) string {
		return fmt.Sprintf("read l <go%s; %s STATUS=%[1]s; echo >said%[1]s", text, strings.Join(rig.Helper(t, "say"), " "))
	}
	s := h.service("web", says("one")+"\n"+says("two")+"\n"+long, "notify-socket", "")
	s.fifos("goone", "gotwo")
	h.open()
	s.begun()
	h.listens()
	known := func(text string) {
		harness.Eventually(t, text+" is known", func() bool { return s.info().Note == text })
	}
	s.feed("goone")
	known("one")
	s.feed("gotwo")
	harness.Eventually(t, "it has said it", func() bool { return read(filepath.Join(s.dir, "saidtwo")) != "" })
	h.upgrade()
	known("two")
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
	var done atomic.Bool
	failed := make(chan error, 1)
	go func() {
		for n := 0; !done.Load(); n++ {
			if err := sendTo(name(), fmt.Sprint("STATUS=", n)); err != nil {
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
	harness.Eventually(t, "it listens again", func() bool { return sendTo(name(), "STATUS=hello") == nil })
	h.ends(0)
}
