package resume_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// holdFork executes a program, and kills the process below it that forks for the n-th time, counted over all of them.
// What that has forked stays as it was born until there is a file of the name given.
func holdFork(args []string) {
	h := holder{nth: atoi(args[0]), goes: map[int]bool{traced(args[2:]): true}}
	for held := true; h.goOn(); {
		if _, err := os.Stat(args[1]); held && err == nil {
			held = unix.PtraceDetach(h.born) != nil
		}
	}
}

// A holder traces processes.
type holder struct {
	nth, forks   int
	victim, born int
	goes         map[int]bool // what is traced: false while nobody has said what it is
}

// goOn deals with what has happened, if anything has, and returns false if nobody is left.
func (h *holder) goOn() bool {
	var ws unix.WaitStatus
	pid, err := unix.Wait4(-1, &ws, unix.WALL|unix.WNOHANG, nil)
	switch {
	case err == unix.ECHILD:
		return false
	case err != nil || pid == 0:
		time.Sleep(time.Millisecond)
	case ws.Stopped():
		h.stopped(pid, ws)
	case pid == h.victim:
		fmt.Fprintln(os.Stderr, "killed")
	}
	return true
}

func (h *holder) stopped(pid int, ws unix.WaitStatus) {
	msg, _ := unix.PtraceGetEventMsg(pid)
	switch news := int(msg); ws.TrapCause() {
	case unix.PTRACE_EVENT_VFORK:
		if h.forks++; h.forks == h.nth {
			status := read(fmt.Sprintf("/proc/%d/status", pid))
			_, group, _ := strings.Cut(status, "\nTgid:")
			fmt.Sscan(group, &h.victim)
			h.born = news
			unix.Kill(h.victim, unix.SIGKILL)
			return
		}
		h.begins(news)
	case unix.PTRACE_EVENT_CLONE:
		h.begins(news)
	}
	pass, sig := 0, ws.StopSignal()
	switch {
	case !h.goes[pid]:
		h.goes[pid] = false
		return
	case sig == unix.SIGTRAP && ws.TrapCause() == 0: // it has been executed
		unix.PtraceSetOptions(pid, unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_TRACEVFORK)
	case sig != unix.SIGSTOP && sig != unix.SIGTRAP:
		pass = int(sig)
	}
	unix.PtraceCont(pid, pass)
}

// begins lets a new thread or process go on, as soon as it has stopped.
func (h *holder) begins(pid int) {
	if _, stopped := h.goes[pid]; stopped {
		unix.PtraceCont(pid, 0)
	}
	h.goes[pid] = true
}

// TestBornAtTheEnd: what a daemon has forked right before it was killed is the service, however long it takes until it
// executes run, which on a busy machine are seconds.
func TestBornAtTheEnd(t *testing.T) {
	for _, test := range []struct {
		name           string
		options, files []string
	}{
		{"in a cgroup", nil, nil},
		{"in a directory", []string{"--cgroup=off"}, nil},
		{"with the daemon's descriptors", nil, []string{"notification-fd", "3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t, test.options...)
			h.own() // or other tests' daemons would wait for what is held, too
			s := h.service("web", long, test.files...)
			release := filepath.Join(h.top, "release")
			h.open(rig.Helper(t, "holdfork", "1", release)...)
			h.EventuallySays("killed")
			h.options = append(h.options, "--prune")
			h.open()
			time.Sleep(3 * time.Second) // so long it takes; there is nothing to wait for
			if n := s.starts(); n != 0 {
				t.Errorf("it was started beside what is being started")
			}
			harness.WriteFile(t, release, "", 0o644)
			pid := s.begun()
			s.same(pid, 1)
			if n := working(s.dir); n != 1 {
				t.Errorf("there are %d copies", n)
			}
			h.ends(0)
		})
	}
}

// TestCommandBornAtTheEnd: the same for the main command below a guard.
func TestCommandBornAtTheEnd(t *testing.T) {
	h := newHouse(t, "--guard")
	h.own() // as above
	said, release := filepath.Join(h.top, "said"), filepath.Join(h.top, "release")
	h.command = []string{"/bin/sh", "-c", "echo $$ >>" + said + "; trap 'exit 9' TERM; while :; do sleep 0.02; done"}
	h.open(rig.Helper(t, "holdfork", "2", release)...) // the daemon is the first that is forked
	h.EventuallySays("killed")
	time.Sleep(3 * time.Second) // as above
	harness.WriteFile(t, release, "", 0o644)
	harness.Eventually(t, "the command is recorded", func() bool {
		i, err := fsstate.ParseInfo([]byte(read(filepath.Join(h.root, ".upkeep", "status"))))
		return err == nil && i.Phase == "up" && read(said) != ""
	})
	h.listens()
	ctlSays(t, h, "stop")
	h.Wait()
	if n := strings.Count(read(said), "\n"); n != 1 {
		t.Errorf("the command was started %d times", n)
	}
}

// TestStopAtTheBirth: an order to stop waits for what is being born, and ends it.
func TestStopAtTheBirth(t *testing.T) {
	h := newHouse(t)
	h.own()
	s := h.service("web", long)
	release := filepath.Join(h.top, "release")
	h.open(rig.Helper(t, "holdfork", "1", release)...)
	h.EventuallySays("killed")
	h.open()
	h.listens()
	h.signal(syscall.SIGTERM)
	time.Sleep(7 * time.Second) // longer than a file system that hangs is waited for
	if !h.Running() {
		t.Error("it has ended and left what is being born")
	}
	harness.WriteFile(t, release, "", 0o644)
	h.Wait()
	if n := working(s.dir); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}
