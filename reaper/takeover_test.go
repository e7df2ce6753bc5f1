package reaper_test

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/reaper"
)

func TestWorldAndStart(t *testing.T) {
	if w := reaper.World(); w == "" || w != reaper.World() {
		t.Errorf("the world is called %q", w)
	}
	before := reaper.Tick()
	o := start(t, shell("exec sleep 1000"))
	pid := <-o.pid
	p, err := reaper.Look(pid)
	if err != nil || p.Pid != pid || p.Parent != unix.Getpid() || p.Zombie {
		t.Errorf("it is %+v, %v", p, err)
	}
	if after := reaper.Tick(); p.Start < before || p.Start > after {
		t.Errorf("started at %d, not from %d to %d", p.Start, before, after)
	}
	if got := children.StartTime(pid); got != p.Start {
		t.Errorf("the reaper says %d, want %d", got, p.Start)
	}
	if got := children.StartTime(unix.Getpid()); got != 0 {
		t.Errorf("of who is no child it says %d", got)
	}
}

// stranger starts a process that is not our child, and returns its pid and when it was started. say makes
// the script go on.
func stranger(t *testing.T, script string) (p reaper.Process, say func()) {
	t.Helper()
	in, line := pipe(t)
	out, w := pipe(t)
	// A shell in between, which waits: else we, a subreaper, would inherit it.
	spec := shell("exec 3<&0; sh -c 'read go; " + script + "' <&3 & echo $!; wait")
	spec.Stdin, spec.Stdout = int(in.Fd()), w
	parent := start(t, spec)
	<-parent.pid
	unix.Close(w)
	t.Cleanup(func() { unix.Close(line) })
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	var err error
	if p, err = reaper.Look(pid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	return p, func() { unix.Write(line, []byte("go\n")) }
}

func readable(t *testing.T, fd int) {
	t.Helper()
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, int(patience.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			t.Fatal("the end was never told")
		}
		return
	}
}

func TestTakeOverAStranger(t *testing.T) {
	for i := range 200 { // whoever reaps it does so at any moment
		script, want := "exit 7", unix.WaitStatus(7<<8)
		if i%2 == 1 {
			script, want = "kill -TERM $$", unix.WaitStatus(unix.SIGTERM)
		}
		p, say := stranger(t, script)
		o := newOwner()
		if fd, alive := children.TakeOver(p.Pid, p.Start+1, o); alive || fd >= 0 {
			t.Error("a process that was started at another time was taken over")
		}
		fd, alive := children.TakeOver(p.Pid, p.Start, o)
		if !alive || fd < 0 {
			t.Fatal("it was not taken over")
		}
		if _, again := children.TakeOver(p.Pid, p.Start, newOwner()); again {
			t.Error("it has two owners")
		}
		if !children.Signal(p.Pid, unix.SIGCONT, false) {
			t.Error("it was not signalled")
		}
		say()
		readable(t, fd)
		children.Ended(p.Pid)
		e := o.wait(t)
		if e.Pid != p.Pid || e.Status != want || e.Unknown {
			t.Errorf("%s: it has ended with %+v, want %v", script, e, want)
		}
		if children.Signal(p.Pid, 0, false) {
			t.Error("it can still be signalled")
		}
		if _, alive := children.TakeOver(p.Pid, p.Start, newOwner()); alive {
			t.Error("who has ended was taken over")
		}
	}
}

// TestTakeOverAChild: one that is ours already, as after an exec of ourselves.
func TestTakeOverAChild(t *testing.T) {
	o := start(t, shell("exec sleep 1000"))
	pid := <-o.pid
	began := children.StartTime(pid)
	children.Disown(pid)
	if children.Signal(pid, 0, false) {
		t.Error("who was disowned can be signalled")
	}
	other := newOwner()
	fd, alive := children.TakeOver(pid, began, other)
	if fd >= 0 || !alive {
		t.Fatalf("taken over: %d, %v", fd, alive)
	}
	if !children.Signal(pid, unix.SIGKILL, false) {
		t.Fatal("it was not signalled")
	}
	if e := other.wait(t); e.Status.Signal() != unix.SIGKILL || e.Unknown {
		t.Errorf("it has ended with %+v", e)
	}
	if told := o.told(); len(told) != 1 {
		t.Errorf("who has lost it was told %v", told)
	}
}

// TestKeep: the end of a child that comes before it is taken over is kept.
func TestKeep(t *testing.T) {
	done := children.Keep()
	kept := true
	defer func() {
		if kept {
			done()
		}
	}()
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "exit 9"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it is reaped", func() bool { return unix.Kill(pid, 0) == unix.ESRCH })
	o := newOwner()
	if fd, alive := children.TakeOver(pid, 1, o); fd >= 0 || !alive {
		t.Fatalf("taken over: %d, %v", fd, alive)
	}
	if e := o.wait(t); e.Status.ExitStatus() != 9 {
		t.Errorf("it has ended with %s", describeEnd(e.Status))
	}
	orphans := children.Orphans()
	pid, err = syscall.ForkExec("/bin/true", []string{strconv.Itoa(pid)}, &syscall.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it is reaped", func() bool { return unix.Kill(pid, 0) == unix.ESRCH })
	done()
	kept = false
	if n := children.Orphans() - orphans; n != 1 {
		t.Errorf("%d orphans are counted, want 1", n)
	}
}
