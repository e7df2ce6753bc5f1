package reaper_test

import (
	"encoding/json"
	"math"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/reaper"
)

// patience only ends a test that has failed already.
const patience = 30 * time.Second

// role makes the test binary a program that tells what it was given.
const role = "REAPER_TEST_ROLE=describe"

// quickExit keeps a program that was built with the race detector from waiting for a second at its end.
const quickExit = "GORACE=atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	if reaper.IsTrampoline(os.Args[0]) {
		reaper.Trampoline(os.Args[1:])
		os.Exit(111)
	}
	if os.Getenv("REAPER_TEST_ROLE") != "" {
		describe()
		return
	}
	if err := reaper.Adopt(); err != nil {
		panic(err)
	}
	// What we were given ourselves is not to be passed on.
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		panic(err)
	}
	os.Setenv("GORACE", quickExit[len("GORACE="):])
	children.Prepare(nil)
	go sweep()
	os.Exit(m.Run())
}

// The process has one reaper, as every process must.
var (
	children reaper.Reaper
	swept    = struct {
		sync.Mutex
		next chan struct{} // closed after the next sweep
		left bool
	}{next: make(chan struct{})}
)

// sweep does what the daemon does.
func sweep() {
	for deaths := reaper.WatchDeaths(); ; {
		deaths.Await()
		left := children.Sweep()
		swept.Lock()
		close(swept.next)
		swept.next, swept.left = make(chan struct{}), left
		swept.Unlock()
	}
}

// until waits for a sweep after which cond holds.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	end := time.After(patience)
	for {
		swept.Lock()
		next := swept.next
		swept.Unlock()
		if cond() {
			return
		}
		select {
		case <-next:
		case <-end:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// An owner keeps what it is told.
type owner struct {
	mu     sync.Mutex
	events []any // an int for Started, an Exit for Exited
	pid    chan int
	end    chan reaper.Exit
}

func newOwner() *owner { return &owner{pid: make(chan int, 9), end: make(chan reaper.Exit, 9)} }

func (o *owner) Started(pid int) {
	o.mu.Lock()
	o.events = append(o.events, pid)
	o.mu.Unlock()
	o.pid <- pid
}

func (o *owner) Exited(e reaper.Exit) {
	o.mu.Lock()
	o.events = append(o.events, e)
	o.mu.Unlock()
	o.end <- e
}

func (o *owner) told() []any {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]any(nil), o.events...)
}

// wait returns how the process has ended.
func (o *owner) wait(t *testing.T) reaper.Exit {
	t.Helper()
	select {
	case e := <-o.end:
		return e
	case <-time.After(patience):
		t.Fatal("the end of a process was never told")
		panic("unreachable")
	}
}

// start starts a program with /dev/null as its three descriptors, where spec has none.
func start(t *testing.T, s reaper.Spec) *owner {
	t.Helper()
	o := newOwner()
	if err := try(t, s, o); err != nil {
		t.Fatalf("cannot start %q: %v", s.Args, err)
	}
	t.Cleanup(func() {
		for _, pid := range o.started() {
			children.Signal(pid, unix.SIGKILL, false)
		}
	})
	return o
}

func (o *owner) started() (pids []int) {
	for _, e := range o.told() {
		if pid, ok := e.(int); ok {
			pids = append(pids, pid)
		}
	}
	return pids
}

func try(t *testing.T, s reaper.Spec, o *owner) error {
	t.Helper()
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	for _, fd := range []*int{&s.Stdin, &s.Stdout, &s.Stderr} {
		if *fd == 0 {
			*fd = null
		}
	}
	return children.Start(s, o)
}

// shell is a Spec that runs a script, which may not be read from a file.
func shell(script string) reaper.Spec {
	return reaper.Spec{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: os.Environ()}
}

// A description is what a program finds.
type description struct {
	Args           []string
	Dir            string
	Descriptors    []int
	Pid, Sid, Pgid int
	Nonblocking    []int
}

func describe() {
	d := description{Args: os.Args, Pid: unix.Getpid()}
	for fd := range 1024 {
		// What is inherited is not close-on-exec; the runtime's own descriptors are.
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		d.Descriptors = append(d.Descriptors, fd)
		if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); flags&unix.O_NONBLOCK != 0 {
			d.Nonblocking = append(d.Nonblocking, fd)
		}
	}
	d.Dir, _ = os.Getwd()
	d.Sid, _ = unix.Getsid(0)
	d.Pgid = unix.Getpgrp()
	json.NewEncoder(os.Stdout).Encode(d)
}
