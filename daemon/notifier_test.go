package daemon

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// A listener is what a notifier talks to, and the daemon's goroutine around it.
type listener struct {
	*notifier
	mu     sync.Mutex // held for each turn, and to look at what follows meanwhile
	told   []string
	said   []string
	err    error
	text   string // the status
	turns  int
	mail   *mailbox
	ending chan struct{}
}

func newListener() *listener {
	l := &listener{text: "fine", mail: newMailbox(), ending: make(chan struct{})}
	l.notifier = &notifier{
		send: func(text string) error {
			if l.err == nil {
				l.told = append(l.told, text)
			}
			return l.err
		},
		warn: func(who, format string, args ...any) { l.said = append(l.said, fmt.Sprintf(format, args...)) },
		after: func(d time.Duration, f func()) *time.Timer {
			return time.AfterFunc(d, func() { l.mail.post(f) })
		},
	}
	l.begin(func() string { return l.text })
	go func() {
		for {
			select {
			case <-l.mail.wake:
				l.mu.Lock()
				l.turns++
				l.mail.run()
				l.turned()
				l.mu.Unlock()
			case <-l.ending:
				return
			}
		}
	}()
	return l
}

// do runs f on the goroutine, in a turn of its own.
func (l *listener) do(f func()) {
	l.mail.post(f)
	synctest.Wait()
}

// heard returns what was told since the last time.
func (l *listener) heard() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	told := l.told
	l.told = nil
	return told
}

// turnsIn counts the turns that the time brings about.
func (l *listener) turnsIn(d time.Duration) int {
	synctest.Wait()
	l.mu.Lock()
	before := l.turns
	l.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.turns - before
}

// expectTold fails the test unless exactly this was told since the last time.
func (l *listener) expectTold(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, text := range l.heard() {
		got = append(got, strings.ReplaceAll(text, "\n", "|"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func inBubble(t *testing.T, test func(t *testing.T, l *listener)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newListener()
		test(t, l)
		close(l.ending)
	})
}

func TestReadyWaitsForStarts(t *testing.T) {
	inBubble(t, func(t *testing.T, l *listener) {
		var over [3]bool
		starts := func() (list []func() bool) {
			for i := range over {
				list = append(list, func() bool { return over[i] })
			}
			return list
		}
		l.do(func() {})
		l.expectTold(t)
		l.do(func() { l.scanned(starts) })
		l.do(func() { over[2] = true })
		l.do(func() { over[0] = true })
		l.expectTold(t)
		l.do(func() { over[1] = true })
		l.expectTold(t, "READY=1|STATUS=fine")
		l.do(func() { l.scanned(starts) })
		l.expectTold(t)
	})
}

// TestReadyInSpiteOfAHang: READY comes five seconds after the last start that was done.
func TestReadyInSpiteOfAHang(t *testing.T) {
	inBubble(t, func(t *testing.T, l *listener) {
		over := false
		l.do(func() {
			l.scanned(func() []func() bool {
				return []func() bool{func() bool { return over }, func() bool { return false }}
			})
		})
		time.Sleep(3 * time.Second)
		l.do(func() { over = true })
		time.Sleep(readyPatience - time.Millisecond)
		l.expectTold(t, "STATUS=fine")
		time.Sleep(time.Millisecond)
		l.expectTold(t, "READY=1|STATUS=fine")
	})
}

// TestReadyWithoutAScan: a root that cannot be read is no reason to be taken for dead.
func TestReadyWithoutAScan(t *testing.T) {
	inBubble(t, func(t *testing.T, l *listener) {
		time.Sleep(readyPatience)
		l.expectTold(t, "READY=1|STATUS=fine")
	})
}

// isReady brings the notifier to where it has told READY.
func (l *listener) isReady(t *testing.T) {
	t.Helper()
	l.do(func() { l.scanned(func() []func() bool { return nil }) })
	l.expectTold(t, "READY=1|STATUS=fine")
	time.Sleep(time.Minute)
}

func TestStatusOnceASecond(t *testing.T) {
	inBubble(t, func(t *testing.T, l *listener) {
		l.isReady(t)
		l.do(func() { l.text = "a" })
		l.expectTold(t, "STATUS=a")
		for i := range 100 {
			l.do(func() { l.text = fmt.Sprint(i) })
		}
		l.expectTold(t)
		time.Sleep(statusGap)
		l.expectTold(t, "STATUS=99")

		// Nothing changes any more, and nothing wakes up.
		time.Sleep(time.Minute)
		if n := l.turnsIn(time.Hour); n != 0 {
			t.Errorf("%d turns in an hour without events", n)
		}
		l.expectTold(t)
	})
}

func TestReload(t *testing.T) {
	inBubble(t, func(t *testing.T, l *listener) {
		l.do(l.reloading)
		l.expectTold(t) // nothing was ready that could be loaded again
		l.isReady(t)
		l.do(l.reloading)
		if told := l.heard(); len(told) != 1 || !strings.HasPrefix(told[0], "RELOADING=1\nMONOTONIC_USEC=") {
			t.Errorf("told %q", told)
		}
		l.do(func() { l.scanned(func() []func() bool { return nil }) })
		l.expectTold(t, "READY=1|STATUS=fine")
		l.do(l.reloading)
		l.heard()
		l.do(func() { l.text = "stopping"; l.stop() })
		l.do(func() { l.scanned(func() []func() bool { return nil }); l.stop(); l.reloading() })
		time.Sleep(time.Minute)
		l.expectTold(t, "STOPPING=1", "STATUS=stopping")
	})
}

// TestFullSocket: what must arrive is sent in order when there is room, of the status the last one.
func TestFullSocket(t *testing.T) {
	inBubble(t, func(t *testing.T, l *listener) {
		l.isReady(t)
		l.do(func() { l.err = unix.EAGAIN })
		l.do(l.reloading)
		l.do(func() { l.scanned(func() []func() bool { return nil }) })
		l.do(func() { l.text = "a" })
		time.Sleep(2 * time.Second)
		l.do(func() { l.text = "b"; l.err = nil })
		time.Sleep(4 * time.Second)
		told := l.heard()
		if len(told) != 3 || !strings.HasPrefix(told[0], "RELOADING=1\n") ||
			told[1] != "READY=1\nSTATUS=fine" || told[2] != "STATUS=b" {
			t.Errorf("told %q", told)
		}
		l.expectSaidOnce(t)
	})
}

func (l *listener) expectSaidOnce(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.said) != 1 {
		t.Errorf("said %q", l.said)
	}
}

// TestSocketFullForEver: nobody who never reads keeps the daemon busy.
func TestSocketFullForEver(t *testing.T) {
	inBubble(t, func(t *testing.T, l *listener) {
		l.do(func() { l.err = unix.EAGAIN })
		time.Sleep(time.Hour)
		if n := l.turnsIn(time.Hour); n > 2*60+2 {
			t.Errorf("%d turns in an hour", n)
		}
		l.expectSaidOnce(t)
	})
}

func TestWatchdogPause(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		bad       bool
	}{
		{"", "", 0, false}, {"", self, 0, false},
		{"30000000", "", 15 * time.Second, false}, {"30000000", self, 15 * time.Second, false},
		{"30000000", "1", 0, false}, {"30000000", "x", 0, false},
		{"1", "", time.Millisecond, false}, {"9223372036854775807", "", 12 * time.Hour, false},
		{"0", "", 0, true}, {"-1", "", 0, true}, {"30s", "", 0, true}, {"99999999999999999999", "", 0, true},
	} {
		if got, err := watchdogPause(c.usec, c.pid); got != c.want || (err != nil) != c.bad {
			t.Errorf("WATCHDOG_USEC=%q WATCHDOG_PID=%q: %v, %v", c.usec, c.pid, got, err)
		}
	}
}

func TestWithoutManager(t *testing.T) {
	env := []string{"A=1", "NOTIFY_SOCKET=/x", "WATCHDOG_USEC=1", "NOTIFY_SOCKETS=2", "WATCHDOG_PID=3", "WATCHDOG_PID", "odd"}
	if got, want := withoutManager(env), []string{"A=1", "NOTIFY_SOCKETS=2", "odd"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if env[1] != "NOTIFY_SOCKET=/x" {
		t.Error("the original has changed")
	}
}
