package supervisor

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newControls(t *testing.T) *Controls {
	t.Helper()
	c, err := NewControls(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// fifo opens a new one as supervise/control is opened.
func fifo(t *testing.T, dir, name string) int {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func tell(t *testing.T, fd int, letters string) {
	t.Helper()
	if n, err := unix.Write(fd, []byte(letters)); n != len(letters) || err != nil {
		t.Errorf("told %d of %q: %v", n, letters, err)
	}
}

func hear(t *testing.T, heard <-chan string, want string) {
	t.Helper()
	select {
	case got := <-heard:
		if got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("%q was never heard", want)
	}
}

func TestABatchIsHeardAsOne(t *testing.T) {
	t.Parallel()
	c := newControls(t)
	fd := fifo(t, t.TempDir(), "control")
	defer unix.Close(fd)
	tell(t, fd, "early") // before anybody listens
	heard := make(chan string, 9)
	if err := c.Add(fd, func(b []byte) { heard <- string(b) }); err != nil {
		t.Fatal(err)
	}
	defer c.Remove(fd)
	hear(t, heard, "early")
	for _, batch := range []string{"dx", "u", "+t=k", "\x00\xff", strings.Repeat("p", 512)} {
		tell(t, fd, batch)
		hear(t, heard, batch)
	}
}

func TestALongBatchIsHeardWhole(t *testing.T) {
	t.Parallel()
	c := newControls(t)
	fd := fifo(t, t.TempDir(), "control")
	defer unix.Close(fd)
	var got bytes.Buffer
	want := strings.Repeat("0123456789abcdef", 256) // PIPE_BUF, what can be written at once
	done := make(chan struct{})
	err := c.Add(fd, func(b []byte) {
		if got.Write(b); got.Len() == len(want) {
			close(done)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Remove(fd)
	tell(t, fd, want)
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("it was not heard")
	}
	if got.String() != want {
		t.Errorf("heard %q", got.String())
	}
}

func TestManyFIFOs(t *testing.T) {
	t.Parallel()
	const n = 200 // more than are polled at once
	c := newControls(t)
	dir := t.TempDir()
	heard := make([]chan string, n)
	var fds []int
	for i := range n {
		fd := fifo(t, dir, fmt.Sprint(i))
		defer unix.Close(fd)
		fds = append(fds, fd)
		heard[i] = make(chan string, 1)
		if err := c.Add(fd, func(b []byte) { heard[i] <- string(b) }); err != nil {
			t.Fatal(err)
		}
		defer c.Remove(fd)
	}
	for range 3 {
		for i, fd := range fds {
			tell(t, fd, fmt.Sprint(i))
		}
		for i := range fds {
			hear(t, heard[i], fmt.Sprint(i))
		}
	}
}

// TestAddAndRemoveUnderFire: descriptors are used again at once, and nobody hears another's letters, or
// any after Remove.
func TestAddAndRemoveUnderFire(t *testing.T) {
	t.Parallel()
	c := newControls(t)
	var all sync.WaitGroup
	for g := range 8 {
		dir := t.TempDir()
		all.Go(func() {
			for i := range 150 {
				fd := fifo(t, dir, fmt.Sprint(i))
				word := fmt.Sprintf("%d.%d", g, i)
				heard := make(chan string, 9)
				var removed atomic.Bool
				err := c.Add(fd, func(b []byte) {
					if removed.Load() {
						t.Errorf("%s: heard after Remove", word)
					}
					heard <- string(b)
				})
				if err != nil {
					t.Error(err)
					return
				}
				if i%3 > 0 {
					tell(t, fd, word)
					hear(t, heard, word)
				}
				if i%3 > 1 {
					tell(t, fd, word) // heard or not, but not after
				}
				c.Remove(fd)
				removed.Store(true)
				unix.Close(fd)
				select {
				case got := <-heard:
					if got != word {
						t.Errorf("%s: heard %q", word, got)
					}
				default:
				}
			}
		})
	}
	all.Wait()
}

func TestAddFails(t *testing.T) {
	c := newControls(t)
	if err := c.Add(1<<20, func([]byte) {}); err == nil {
		t.Error("a descriptor that is not open was accepted")
	}
	c.Remove(1 << 20) // harmless
	c.Close()
	fd := fifo(t, t.TempDir(), "control")
	defer unix.Close(fd)
	if err := c.Add(fd, func([]byte) {}); err == nil {
		t.Error("accepted after Close")
	}
	c.Remove(fd)
}

// TestANumberThatIsUsedAgain: what is read by it now is no news of what has had it before, and was closed by others.
func TestANumberThatIsUsedAgain(t *testing.T) {
	t.Parallel()
	c := newControls(t)
	dir := t.TempDir()
	first, second := fifo(t, dir, "first"), fifo(t, dir, "second")
	defer unix.Close(first)
	if err := c.AddReady(first, func() { t.Error("the one before is heard of") }); err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup3(second, first, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	unix.Close(second)
	heard := make(chan string, 1)
	if err := c.Add(first, func(text []byte) { heard <- string(text) }); err != nil {
		t.Fatal(err)
	}
	tell(t, first, "du")
	hear(t, heard, "du")
}
