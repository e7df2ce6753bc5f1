package reaper_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/reaper"
)

func TestEveryEndIsToldOnce(t *testing.T) {
	const starters, each = 8, 125
	// Beside the sweeps that follow a signal, others at any moment.
	quit := make(chan struct{})
	var sweeping sync.WaitGroup
	sweeping.Go(func() {
		for {
			select {
			case <-quit:
				return
			default:
				children.Sweep()
				runtime.Gosched()
			}
		}
	})
	defer sweeping.Wait()
	defer close(quit)
	orphans := children.Orphans()

	scripts := []string{"exit 0", "exit 7", "exit 255", "kill -9 $$", "kill -15 $$"}
	ends := []string{"exit 0", "exit 7", "exit 255", "signal 9", "signal 15"}
	owners := make([]*owner, starters*each)
	var starting sync.WaitGroup
	for s := range starters {
		starting.Go(func() {
			for i := range each {
				n := s*each + i
				owners[n] = newOwner()
				if err := try(t, shell(scripts[n%len(scripts)]), owners[n]); err != nil {
					t.Errorf("start %d: %v", n, err)
				}
			}
		})
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	pids := make(map[int]int)
	for n, o := range owners {
		e := o.wait(t)
		if got, want := describeEnd(e.Status), ends[n%len(ends)]; got != want {
			t.Errorf("child %d ended with %s, want %s", n, got, want)
		}
		if e.Launch != nil {
			t.Errorf("child %d: launch error %v", n, e.Launch)
		}
		pids[e.Pid]++
	}
	for n, o := range owners {
		told := o.told()
		pid, ok := told[0].(int)
		if e, exit := told[len(told)-1].(reaper.Exit); len(told) != 2 || !ok || !exit || e.Pid != pid {
			t.Errorf("owner %d was told %v", n, told)
		}
	}
	if got := children.Orphans() - orphans; got != 0 {
		t.Errorf("%d children of ours were taken for orphans", got)
	}
	if len(pids) != starters*each {
		t.Logf("%d pids for %d children: some were used twice", len(pids), starters*each)
	}
}

func describeEnd(s unix.WaitStatus) string {
	if s.Signaled() {
		return fmt.Sprintf("signal %d", s.Signal())
	}
	return fmt.Sprintf("exit %d", s.ExitStatus())
}

func TestUsageIsTold(t *testing.T) {
	o := start(t, shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"))
	if e := o.wait(t); e.Usage.Utime.Nano()+e.Usage.Stime.Nano() == 0 || e.Usage.Maxrss == 0 {
		t.Errorf("no usage: %+v", e.Usage)
	}
}

func TestOrphansAreReapedAndCounted(t *testing.T) {
	before := children.Orphans()
	o := start(t, shell("for i in 1 2 3 4 5; do (sleep 0 &); done"))
	if e := o.wait(t); e.Status != 0 {
		t.Fatalf("the parent ended with %v", describeEnd(e.Status))
	}
	until(t, "five orphans are reaped", func() bool { return children.Orphans() == before+5 })
	if left := children.Sweep(); left {
		t.Error("children are left")
	}
	if got := children.Orphans() - before; got != 5 {
		t.Errorf("%d orphans, want 5", got)
	}
}

func TestSweepTellsWhetherChildrenAreLeft(t *testing.T) {
	until(t, "nothing is left of earlier tests", func() bool { return !children.Sweep() })
	o := start(t, shell("exec sleep 1000"))
	if !children.Sweep() {
		t.Error("a living child is not left")
	}
	children.Signal(<-o.pid, unix.SIGKILL, false)
	o.wait(t)
	if children.Sweep() {
		t.Error("a dead child is left")
	}
}

func TestExecFailure(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "plain"), "#!/bin/sh\n", 0o644)
	write(t, filepath.Join(dir, "headless"), "exit 0\n", 0o755)
	write(t, filepath.Join(dir, "lost"), "#!/nonexistent/interpreter\n", 0o755)
	for _, test := range []struct {
		path, dir string
		want      error
	}{
		{"./nothing", dir, unix.ENOENT},
		{"./plain", dir, unix.EACCES},
		{".", dir, unix.EACCES},
		{"./headless", dir, unix.ENOEXEC},
		{"./lost", dir, unix.ENOENT},
		{"/bin/sh", filepath.Join(dir, "nowhere"), unix.ENOENT},
		{"/bin/sh", filepath.Join(dir, "plain"), unix.ENOTDIR},
	} {
		s := reaper.Spec{Path: test.path, Args: []string{test.path}, Dir: test.dir}
		o := newOwner()
		if err := try(t, s, o); err != test.want {
			t.Errorf("%s in %s: %v, want %v", test.path, test.dir, err, test.want)
		}
		children.Sweep()
		if told := o.told(); len(told) != 0 {
			t.Errorf("%s in %s: its owner was told %v", test.path, test.dir, told)
		}

		// By way of the trampoline there is a process, and its end tells.
		s.Remote = true
		o = start(t, s)
		if e := o.wait(t); e.Launch != test.want {
			t.Errorf("remote: %s in %s: %v, want %v", test.path, test.dir, e.Launch, test.want)
		}
		if told := o.told(); len(told) != 2 {
			t.Errorf("remote: %s in %s: its owner was told %v", test.path, test.dir, told)
		}
	}
}

func TestSuccessIsNoLaunchError(t *testing.T) {
	for _, script := range []string{"exit 0", "exit 111", "kill -9 $$", "exec 3>&-; exit 3"} {
		s := shell(script)
		s.Remote = true
		if e := start(t, s).wait(t); e.Launch != nil {
			t.Errorf("%s: %v", script, e.Launch)
		}
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// pipe returns a pipe to read from, and its write end as a descriptor that the caller closes.
func pipe(t *testing.T) (*os.File, int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r := os.NewFile(uintptr(p[0]), "pipe")
	t.Cleanup(func() { r.Close() })
	return r, p[1]
}

func TestSignal(t *testing.T) {
	o := start(t, shell("exec sleep 1000"))
	pid := <-o.pid
	if !children.Signal(pid, 0, false) {
		t.Error("a living child is not there")
	}
	if children.Signal(pid, unix.SIGTERM, true) {
		t.Error("there is a group, without anybody having made one")
	}
	if !children.Signal(pid, unix.SIGTERM, false) {
		t.Error("the child was not signalled")
	}
	if e := o.wait(t); e.Status.Signal() != unix.SIGTERM {
		t.Errorf("it ended with %s", describeEnd(e.Status))
	}
	if children.Signal(pid, 0, false) {
		t.Error("a reaped child is still there")
	}
	if children.Signal(unix.Getpid(), 0, false) || children.Signal(0, 0, false) || children.Signal(-1, 0, false) {
		t.Error("who is no child was signalled")
	}
}

func TestSignalToTheGroup(t *testing.T) {
	for _, group := range []bool{false, true} {
		r, w := pipe(t)
		s := shell("sleep 1000 & echo $!; wait")
		s.Setsid, s.Stdout = true, w
		orphans := children.Orphans()
		o := start(t, s)
		unix.Close(w)
		out := bufio.NewReader(r)
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if !children.Signal(<-o.pid, unix.SIGTERM, group) {
			t.Fatal("it was not signalled")
		}
		o.wait(t)
		if !group {
			pids, _ := children.SignalOrphans(unix.SIGTERM, nil)
			if want := strings.TrimSpace(line); !slices.Contains(pids, atoi(want)) {
				t.Errorf("the orphan %s did not survive the signal to its parent alone: %v", want, pids)
			}
			until(t, "the orphan is reaped", func() bool { return children.Orphans() > orphans })
		}
		// The end of file says that the last of them is gone.
		if _, err := out.ReadByte(); err != io.EOF {
			t.Errorf("group %v: %v", group, err)
		}
	}
	until(t, "all are reaped", func() bool { return !children.Sweep() })
}

func atoi(s string) (n int) {
	fmt.Sscan(s, &n)
	return n
}

func TestSignalOrphans(t *testing.T) {
	until(t, "nothing is left of earlier tests", func() bool { return !children.Sweep() })
	child := start(t, shell("exec sleep 1000"))
	pid := <-child.pid

	r, w := pipe(t)
	s := shell("(sleep 1000 & echo $!); (sleep 1000 & echo $!)")
	s.Stdout = w
	parent := start(t, s)
	unix.Close(w)
	var spared, other int
	if _, err := fmt.Fscan(r, &spared, &other); err != nil {
		t.Fatal(err)
	}
	parent.wait(t)

	orphans := children.Orphans()
	if got, _ := children.SignalOrphans(unix.SIGTERM, map[int]bool{spared: true}); !slices.Equal(got, []int{other}) {
		t.Errorf("signalled %v, want %v", got, []int{other})
	}
	until(t, "one is reaped", func() bool { return children.Orphans() == orphans+1 })
	if got, _ := children.SignalOrphans(unix.SIGKILL, nil); !slices.Equal(got, []int{spared}) {
		t.Errorf("signalled %v, want %v", got, []int{spared})
	}
	until(t, "the other is reaped", func() bool { return children.Orphans() == orphans+2 })
	if got, _ := children.SignalOrphans(unix.SIGKILL, nil); len(got) != 0 {
		t.Errorf("signalled %v, who are no orphans", got)
	}
	if !children.Signal(pid, unix.SIGKILL, false) {
		t.Error("the registered child is gone")
	}
	if e := child.wait(t); e.Status.Signal() != unix.SIGKILL {
		t.Errorf("the registered child got %v", e.Status.Signal())
	}
}

// TestSignalOrphansWhileForking: a child that Start may be about to register is none.
func TestSignalOrphansWhileForking(t *testing.T) {
	until(t, "nothing is left of earlier tests", func() bool { return !children.Sweep() })
	born := func() int {
		pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{})
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	before := born()
	p, err := reaper.Look(before)
	if err != nil {
		t.Fatal(err)
	}
	for reaper.Tick() == p.Start {
		runtime.Gosched()
	}
	children.Fork(func() {
		forked := born()
		f, err := reaper.Look(forked)
		if err != nil {
			t.Error(err)
		}
		got, sure := children.SignalOrphans(unix.SIGTERM, nil)
		if reaper.Tick() >= f.Start+100 {
			t.Log("no fork takes as long as this has taken: nothing can be told")
		} else if !slices.Equal(got, []int{before}) || sure {
			t.Errorf("signalled %v, sure %v; want %v alone", got, sure, before)
		}
		if got, _ := children.SignalOrphans(unix.SIGKILL, map[int]bool{before: true}); !slices.Equal(got, []int{forked}) {
			t.Errorf("killed %v, want %v", got, forked)
		}
	})
	until(t, "all are reaped", func() bool { return !children.Sweep() })
}
