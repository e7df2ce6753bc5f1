package dialects_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// listeners are the FIFOs in the directory event.
func (v *service) listeners() []string {
	list, _ := filepath.Glob(v.path("event/ftrig1:*"))
	return list
}

// listen makes a FIFO as s6's programs do, and returns what tells all that has been heard so far.
func (v *service) listen() func() string {
	v.t.Helper()
	name := fmt.Sprintf("ftrig1:@%s:abcdef", hex.EncodeToString([]byte("@\x00\x00\x00abcdefgh")))
	fifo := v.path("event/" + name)
	if err := unix.Mkfifo(v.path("event/."+name), 0o622); err != nil {
		v.t.Fatal(err)
	}
	fd, err := unix.Open(v.path("event/."+name), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { unix.Close(fd) })
	if err := os.Rename(v.path("event/."+name), fifo); err != nil {
		v.t.Fatal(err)
	}
	heard := ""
	return func() string {
		buf := make([]byte, 100)
		if n, err := unix.Read(fd, buf); err == nil {
			heard += string(buf[:n])
		}
		return heard
	}
}

// TestS6Events: the bytes that s6's programs wait for, each in its place.
func TestS6Events(t *testing.T) {
	both(t, s6, func(t *testing.T, s *stage) {
		v := s.service(".web", server(t, "", "read x <go", "echo >&3"), "notification-fd", "3\n",
			"down", "", "finish", "#!/bin/sh\nread code <done\nexit $code\n", "timeout-finish", "0").gates("go", "done")
		if err := os.MkdirAll(v.path("event"), 0o755); err != nil {
			t.Fatal(err)
		}
		heard := v.listen()
		entry := filepath.Join(s.root, "entry")
		if err := os.Symlink(v.dir, entry); err != nil {
			t.Fatal(err)
		}
		s.open()
		hear := func(want string) { t.Helper(); await(t, "what a listener hears", want, heard) }
		hear("s")
		v.tell("u")
		hear("su")
		v.release("go", "")
		hear("suU")
		v.tell("d")
		hear("suUd")
		v.release("done", "0")
		hear("suUdD")
		v.tell("o")
		hear("suUdDu")
		v.tell("k")
		hear("suUdDud")
		v.release("done", "0")
		hear("suUdDudD")
		v.tell("u")
		hear("suUdDudDu")
		v.tell("k")
		hear("suUdDudDud")
		v.release("done", "125")
		hear("suUdDudDudOD")
		if err := os.Remove(entry); err != nil { // so that it stays away
			t.Fatal(err)
		}
		v.tell("x")
		hear("suUdDudDudODx")
	})
}

// TestS6Ready: the first newline makes a service ready, whatever comes before it.
func TestS6Ready(t *testing.T) {
	both(t, s6, func(t *testing.T, s *stage) {
		run := server(t, "", "read x <go", "printf 'starting ... '>&3", "read x <on", "echo done >&3")
		v := s.service("web", run, "notification-fd", "3\n").gates("go", "on")
		s.open()
		pid := v.up(0)
		waits := v.waiter("s6-svwait", "-U", v.dir)
		await(t, "s6-svstat", "up (pid P) N seconds", v.s6svstat)
		v.release("go", "")
		var on *os.File
		harness.Eventually(t, "it has begun", func() (yes bool) {
			var err error
			on, err = os.OpenFile(v.path("on"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
			return err == nil
		})
		defer on.Close()
		if !waits.Running() {
			t.Errorf("s6-svwait -U ended with %d before it was ready: %s", waits.Wait(), waits.Output())
		}
		on.WriteString("\n")
		if code := waits.Wait(); code != 0 {
			t.Errorf("s6-svwait -U: exit code %d, %s", code, waits.Output())
		}
		await(t, "s6-svstat", "up (pid P) N seconds, ready N seconds", v.s6svstat)
		v.await("heard", "start\n")
		if s.peer.ours {
			v.awaitLong("ready")
			if out := rig.Client(t, "upkeep", "wait", "-U", v.dir); out != "" {
				t.Errorf("upkeep wait -U: %s", out)
			}
		}
		v.tell("k")
		await(t, "s6-svstat", "up (pid P) N seconds", v.s6svstat) // it has to say so again
		if v.pid() == pid {
			t.Errorf("pid %d is still there", pid)
		}
	})
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestS6NeverReady: a notice that ends without a newline is none, and does no harm.
func TestS6NeverReady(t *testing.T) {
	both(t, s6, func(t *testing.T, s *stage) {
		v := s.service("web", server(t, "", "printf 'almost'>&3", "exec 3>&-"), "notification-fd", "3\n")
		s.open()
		v.await("heard", "start\n")
		v.tell("h")
		v.await("heard", "start\nHUP\n")
		await(t, "s6-svstat", "up (pid P) N seconds", v.s6svstat)
		// The time is also that in which its helper has to start.
		out, code := harness.Run(t, harness.Need(t, "s6-svwait")[0], "-U", "-t", "3000", v.dir)
		if code != 99 {
			t.Errorf("s6-svwait -U -t 3000: exit code %d, %s", code, out)
		}
	})
}

// TestReadyGoesOn: what follows the newline is drained, where s6 would end the service by PIPE; and a
// descriptor that is kept open with half a line in it makes nobody deaf.
func TestReadyGoesOn(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	lots := "head -c 300000 /dev/zero >&3"
	talker := s.service("talker", server(t, "", "echo >&3", lots, "echo >&3"), "notification-fd", "3\n")
	mumbler := s.service("mumbler", server(t, "", lots), "notification-fd", "7\n", "run.unused", "")
	mumbler.replace("run", server(t, "", strings.ReplaceAll(lots, "&3", "&7")))
	s.open()
	for _, v := range []*service{talker, mumbler} {
		v.await("heard", "start\n")
		v.tell("h")
		v.await("heard", "start\nHUP\n")
	}
	talker.awaitLong("ready")
	if said := mumbler.long(); strings.Contains(said, "ready") {
		t.Errorf("svstat --long says %s", said)
	}
	for _, v := range []*service{talker, mumbler} {
		v.tell("d")
		v.await("heard", "start\nHUP\nTERM\n")
		harness.Eventually(t, "it is down", func() bool { return v.pid() == 0 })
	}
}

// replace gives a program of the service another text.
func (v *service) replace(name, text string) {
	v.t.Helper()
	harness.WriteFile(v.t, v.path("."+name), text, 0o755)
	if err := os.Rename(v.path("."+name), v.path(name)); err != nil {
		v.t.Fatal(err)
	}
}

// TestS6Wait: s6's programs that wait do so on upkeep's services as on s6's.
func TestS6Wait(t *testing.T) {
	both(t, s6, func(t *testing.T, s *stage) {
		v := s.service("web", server(t, ""), "down", "", "max-death-tally", "5\n", "finish", "#!/bin/sh\n[ -e once ] && exit\n: >once\nread x <done\n", "timeout-finish", "0").gates("done")
		s.open()
		v.supervised()
		ends := func(p *harness.Process) {
			t.Helper()
			if code := p.Wait(); code != 0 {
				t.Errorf("%q: exit code %d, %s", p.Args, code, p.Output())
			}
		}
		harness.Eventually(t, "there are a directory event and a status", func() bool {
			return exists(v.path("event")) && exists(v.path("supervise/status"))
		})
		svc := harness.Need(t, "s6-svc")[0]
		up := v.waiter("s6-svwait", "-u", v.dir)
		ends(v.waiter("s6-svlisten1", "-u", v.dir, svc, "-u", v.dir))
		ends(up)
		v.await("heard", "start\n")
		down, gone := v.waiter("s6-svwait", "-d", v.dir), v.waiter("s6-svwait", "-D", v.dir)
		ends(v.waiter("s6-svlisten1", "-d", v.dir, svc, "-d", v.dir))
		ends(down)
		await(t, "s6-svstat", "down (exitcode 0) N seconds, normally down", func() string {
			said, _, _ := strings.Cut(v.s6svstat(), ", ready")
			return strings.ReplaceAll(said, ", normally down", "") + ", normally down"
		})
		if !gone.Running() {
			t.Errorf("s6-svwait -D has ended while finish runs: %s", gone.Output())
		}
		v.release("done", "0")
		ends(gone)
		if code := syscall.Access(v.path("event"), 0); code != nil {
			t.Error(code)
		}
		ends(v.waiter("s6-svlisten1", "-u", v.dir, svc, "-u", v.dir))
		ends(v.waiter("s6-svwait", "-u", v.dir))
	})
}
