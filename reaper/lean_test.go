package reaper_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/reaper"
)

// TestHand starts a process with a Hand: it is what any other is, and has none of the descriptors that we have
// opened.
func TestHand(t *testing.T) {
	hand := children.Hand()
	if hand == nil {
		t.Skip("the kernel gives no thread descriptors of its own")
	}
	t.Cleanup(hand.End)
	for range 10 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
	}
	with := func(f func()) {
		t.Helper()
		done := make(chan struct{})
		if !hand.Take(func() { f(); close(done) }) {
			t.Fatal("it is busy")
		}
		<-done
	}
	dir := t.TempDir()
	s := shell("echo /proc/self/fd/* >fds; ps -o pid=,sid= -p $$ >session; exit 7")
	s.Dir, s.Setsid = dir, true
	s.Stdin, s.Stdout, s.Stderr = 1, 1, 2 // it has no others
	var o *owner
	with(func() { o = start(t, s) })
	if e := o.wait(t); e.Status.ExitStatus() != 7 {
		t.Errorf("it ended with %s", describeEnd(e.Status))
	}
	read := func(name string) []string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(b))
	}
	// The shell itself has one more while it redirects and one while it lists.
	if fds := read("fds"); len(fds) > 5 {
		t.Errorf("its descriptors are %v", fds)
	}
	if id := read("session"); len(id) != 2 || id[0] != id[1] {
		t.Errorf("its pid and session are %v", id)
	}
	bad := shell("true")
	bad.Path = "/nonexistent"
	bad.Stdin, bad.Stdout, bad.Stderr = 1, 1, 2
	with(func() {
		if err := try(t, bad, newOwner()); err != unix.ENOENT {
			t.Errorf("what cannot be executed: %v", err)
		}
	})
}

// TestBusyHand: what cannot be done at once or next is not taken.
func TestBusyHand(t *testing.T) {
	hand := children.Hand()
	if hand == nil {
		t.Skip("the kernel gives no thread descriptors of its own")
	}
	t.Cleanup(hand.End)
	begun, gate, order := make(chan struct{}), make(chan struct{}), make(chan int, 2)
	if !hand.Take(func() { close(begun); <-gate; order <- 1 }) {
		t.Fatal("an idle one is busy")
	}
	<-begun
	if !hand.Take(func() { order <- 2 }) {
		t.Fatal("it takes nothing to do next")
	}
	if hand.Take(func() { t.Error("it did what it had not taken") }) {
		t.Error("it takes what has to wait for others")
	}
	close(gate)
	if first, second := <-order, <-order; first != 1 || second != 2 {
		t.Errorf("done in the order %d, %d", first, second)
	}
}

// TestForeign: what an earlier program has left open is closed to the threads that fork, and to them alone.
func TestForeign(t *testing.T) {
	foreign, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	fd := int(foreign.Fd())
	var r reaper.Reaper
	r.Prepare([]int{fd})
	there := make(chan bool)
	r.Aside(func(lean bool) {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		there <- lean && err == nil
	})
	if <-there {
		t.Error("a thread that forks has it open")
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		t.Errorf("others have lost it: %v", err)
	}
}
