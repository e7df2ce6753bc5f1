package daemon

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience only ends a test that has failed already.
const patience = 2 * time.Minute

// outlet returns the reading end of a pipe, and its writing end as messages have it.
func outlet(t *testing.T) (*os.File, int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	unix.SetNonblock(p[0], true) // so that it can be given a deadline
	r := os.NewFile(uintptr(p[0]), "pipe")
	r.SetReadDeadline(time.Now().Add(patience))
	t.Cleanup(func() { r.Close(); unix.Close(p[1]) })
	return r, p[1]
}

// soon fails the test if f waits for anything.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s waits", what)
	}
}

func TestMessages(t *testing.T) {
	r, w := outlet(t)
	m := newMessages("upkeep", w)
	m.warn("", "cannot watch %s: %v", "/service", unix.ENOSPC)
	m.warn("web", "it is %d", 1)
	m.warn("a\nb", "\x1b[2J%s", "tab\there")
	m.line("supervise: fatal: as it is")
	m.close(patience)
	want := "upkeep: warning: cannot watch /service: no space left on device\n" +
		"upkeep: warning: web: it is 1\n" +
		"upkeep: warning: a?b: ?[2Jtab?here\n" +
		"supervise: fatal: as it is\n"
	got := make([]byte, len(want)+1)
	n, _ := r.Read(got)
	if string(got[:n]) != want {
		t.Errorf("said\n%s, want\n%s", got[:n], want)
	}
}

// fill makes a pipe full, so that who writes to it waits.
func fill(t *testing.T, fd int) (size int) {
	t.Helper()
	unix.SetNonblock(fd, true)
	defer unix.SetNonblock(fd, false)
	for {
		n, err := unix.Write(fd, make([]byte, 4096))
		if err == unix.EAGAIN {
			return size
		} else if err != nil {
			t.Fatal(err)
		}
		size += n
	}
}

// TestNobodyWaitsForAFullPipe: the oldest lines are dropped, and the newest are there when somebody reads.
func TestNobodyWaitsForAFullPipe(t *testing.T) {
	r, w := outlet(t)
	size := fill(t, w)
	m := newMessages("upkeep", w)
	const each = 1500
	var all sync.WaitGroup
	for g := range 3 {
		all.Go(func() {
			for i := range each {
				m.warn(fmt.Sprint(g), "%d", i)
			}
		})
	}
	soon(t, "a warning", all.Wait)
	m.warn("", "the last")
	if _, err := bufio.NewReaderSize(r, size).Discard(size); err != nil {
		t.Fatal(err)
	}
	go m.close(patience)
	lines, last := 0, [3]int{-1, -1, -1}
	for in := bufio.NewScanner(r); in.Scan(); {
		lines++
		if in.Text() == "upkeep: warning: the last" {
			break
		}
		var g, i int
		if _, err := fmt.Sscanf(in.Text(), "upkeep: warning: %d: %d", &g, &i); err != nil {
			t.Fatalf("line %q: %v", in.Text(), err)
		}
		if i <= last[g] {
			t.Errorf("line %q came after %d", in.Text(), last[g])
		}
		last[g] = i
	}
	if lines < messageQueue || lines > messageQueue+2 {
		t.Errorf("%d lines were kept, want those %d of the queue", lines, messageQueue)
	}
}

func TestCloseIsPatientButNotForEver(t *testing.T) {
	_, w := outlet(t)
	fill(t, w)
	m := newMessages("upkeep", w)
	m.warn("", "never read")
	begun := time.Now()
	soon(t, "close", func() { m.close(50 * time.Millisecond) })
	if waited := time.Since(begun); waited < 50*time.Millisecond {
		t.Errorf("it waited for %v only", waited)
	}
}

// TestADeadPipe ends neither the process nor the messages.
func TestADeadPipe(t *testing.T) {
	r, w := outlet(t)
	r.Close()
	m := newMessages("upkeep", w)
	for i := range 10 {
		m.warn("", "%d", i)
	}
	soon(t, "close", func() { m.close(patience) })

	m = newMessages("upkeep", -1) // nor does one that was closed
	m.warn("", "to nobody")
	soon(t, "close", func() { m.close(patience) })
}

// TestEachLineIsOneWrite, so that the lines of several writers do not mix.
func TestEachLineIsOneWrite(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	m := newMessages("upkeep", fds[1])
	long := strings.Repeat("x", 3000)
	m.line("a")
	m.line(long)
	m.line("")
	m.close(patience)
	buf := make([]byte, 8192)
	for _, want := range []string{"a\n", long + "\n", "\n"} {
		n, err := unix.Read(fds[0], buf)
		if err != nil || !bytes.Equal(buf[:n], []byte(want)) {
			t.Errorf("a write of %.20q, %v; want %.20q", buf[:max(0, n)], err, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "",
		"plain text, 100 %":   "plain text, 100 %",
		"größer → 日本":         "größer → 日本",
		"two\nlines\r\n":      "two?lines??",
		"\x00\x01\x1f\x7f":    "????",
		"\x1b]0;title\a":      "?]0;title?",
		"not UTF-8: \xff\xfe": "not UTF-8: \ufffd\ufffd",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestMessagesTooLate: who has something to say when everything has ended says it to nobody.
func TestMessagesTooLate(t *testing.T) {
	_, w := outlet(t)
	m := newMessages("upkeep", w)
	m.close(patience)
	for range 2 * messageQueue {
		m.warn("", "too late")
	}
}
