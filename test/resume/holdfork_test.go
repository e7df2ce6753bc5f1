package resume_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// holdFork executes a program and kills it when it has forked. What it has forked stays as it was born until there is
// a file of the name given.
func holdFork(args []string) {
	runtime.LockOSThread() // it alone may trace
	release := args[0]
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, args, err)
		os.Exit(99)
	}
	h := holder{leader: cmd.Process.Pid, threads: map[int]bool{cmd.Process.Pid: true}}
	for h.waits() {
	}
	fmt.Fprintln(os.Stderr, "killed")
	for _, err := os.Stat(release); err != nil; _, err = os.Stat(release) {
		time.Sleep(time.Millisecond)
	}
	unix.PtraceDetach(h.born)
}

// A holder traces a process until it is dead, and what that has forked until it is born.
type holder struct {
	leader, born int
	threads      map[int]bool // true for those that go on
}

// waits waits for the next news, and returns false if the process is dead.
func (h *holder) waits() bool {
	var ws unix.WaitStatus
	pid, err := unix.Wait4(-1, &ws, unix.WALL, nil)
	if err == unix.EINTR {
		return true
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "wait4:", err)
		os.Exit(99)
	}
	if !ws.Stopped() {
		return pid != h.leader
	}
	switch news, _ := unix.PtraceGetEventMsg(pid); ws.TrapCause() {
	case unix.PTRACE_EVENT_VFORK:
		h.born = int(news)
		unix.Kill(h.leader, unix.SIGKILL)
		return true
	case unix.PTRACE_EVENT_CLONE:
		if thread := int(news); h.threads[thread] == false {
			if _, stopped := h.threads[thread]; stopped {
				unix.PtraceCont(thread, 0)
			}
			h.threads[thread] = true
		}
	}
	if !h.threads[pid] { // nobody has said yet what it is
		h.threads[pid] = false
		return true
	}
	pass := 0
	switch sig := ws.StopSignal(); sig {
	case unix.SIGSTOP:
	case unix.SIGTRAP:
		if ws.TrapCause() == 0 { // it has been executed
			unix.PtraceSetOptions(pid, unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_TRACEVFORK)
		}
	default:
		pass = int(sig)
	}
	unix.PtraceCont(pid, pass)
	return true
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
			s := h.service("web", long, test.files...)
			release := filepath.Join(h.top, "release")
			h.open(rig.Helper(t, "holdfork", release)...)
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
