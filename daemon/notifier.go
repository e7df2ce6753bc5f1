package daemon

import (
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A notifier tells the service manager that has started us how we are: when everything is started, that a
// rescan it asked for is done, that the end has begun, how many services are up, and that we still turn.
// It belongs to the owner of the daemon's state, who also does the sending: a daemon that hangs is then noticed.
// All methods may be called on nil, which is where no manager listens.
type notifier struct {
	send   func(string) error // one datagram; never waits
	socket string             // in messages
	warn   func(who, format string, args ...any)
	after  func(time.Duration, func()) *time.Timer
	status func() string

	unsent  []string      // what must arrive, in order, and has found the socket full
	told    string        // the status that the manager has
	counted time.Time     // when the status was last looked at
	due     bool          // to look at it at the end of this turn
	armed   bool          // a timer will make it due
	retry   time.Duration // until the next attempt; 0 while nothing waits for one
	heard   bool          // something was delivered
	failed  bool          // it was said that sending fails

	begun    bool          // READY was told once
	awaiting bool          // the manager waits for READY
	pending  []func() bool // what is not over yet of that for which READY waits
	complete bool          // there will be no more of it
	progress time.Time     // when something of it was last over, or READY was asked for
	patient  bool          // a timer will look whether there was progress
	stopping bool
}

const (
	// statusGap is the least time between two looks at the status.
	statusGap = time.Second
	// readyPatience is how long READY waits for starts while none gets done: a service that hangs alone
	// is not to make the whole daemon seem to.
	readyPatience = 5 * time.Second
	// What finds the socket full is sent again, at growing intervals: a manager that is busy reads it in a
	// moment, and one that never reads is not to be a reason to wake up.
	retryFirst = 50 * time.Millisecond
	retryLast  = time.Minute
)

// newNotifier returns nil where no manager has given its socket.
func newNotifier(m *machinery) *notifier {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	send, err := notifySocket(name)
	if err != nil {
		m.messages.warn("", "cannot use NOTIFY_SOCKET=%s: %v; the service manager is told nothing", name, err)
		return nil
	}
	n := &notifier{send: send, socket: name, warn: m.messages.warn, after: m.host.After}
	pause, err := watchdogPause(os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID"))
	if err != nil {
		n.warn("", "cannot use WATCHDOG_USEC=%s: %v; no signs of life are sent", os.Getenv("WATCHDOG_USEC"), err)
	}
	if pause > 0 {
		n.after(pause, func() { n.alive(pause) })
	}
	return n
}

// begin says what the status is, and that READY is to follow.
func (n *notifier) begin(status func() string) {
	if n != nil {
		n.status, n.counted = status, time.Now()
		n.await()
	}
}

// alive is the watchdog's sign of life. One that is lost is followed by another in time.
func (n *notifier) alive(pause time.Duration) {
	n.try("WATCHDOG=1")
	n.after(pause, func() { n.alive(pause) })
}

// reloading says that a rescan has been asked for. Before the first READY there is nothing to reload.
func (n *notifier) reloading() {
	if n == nil || n.stopping || !n.begun {
		return
	}
	n.tell(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic()))
	n.await()
}

// await begins to wait for what READY means.
func (n *notifier) await() {
	n.awaiting, n.complete, n.pending = true, false, nil
	n.progress = time.Now()
	if !n.patient {
		n.expect()
	}
}

// expect ends the waiting when nothing has been going on for too long.
func (n *notifier) expect() {
	n.patient = true
	n.after(time.Until(n.progress.Add(readyPatience)), func() {
		n.patient = false
		switch {
		case !n.awaiting:
		case time.Since(n.progress) >= readyPatience:
			n.ready()
		default:
			n.expect()
		}
	})
}

// scanned says that a scan is done which no other one follows, and what it has found to start. Each
// function tells whether that is over.
func (n *notifier) scanned(starts func() []func() bool) {
	if n != nil && n.awaiting && !n.complete {
		n.complete = true
		n.pending = starts()
	}
}

func (n *notifier) ready() {
	n.begun, n.awaiting, n.pending = true, false, nil
	n.told, n.counted = n.status(), time.Now()
	n.tell("READY=1\nSTATUS=" + n.told)
}

// stop says that everything is being stopped.
func (n *notifier) stop() {
	if n == nil || n.stopping {
		return
	}
	n.stopping, n.awaiting, n.pending = true, false, nil
	n.tell("STOPPING=1")
}

// turned is called at the end of each turn of the daemon's goroutine, as something may have changed. It
// looks whether what READY waits for is over, and once in statusGap at the status. A timer of its own sees
// to the changes in between, and is no reason for another.
func (n *notifier) turned() {
	if n == nil {
		return
	}
	if n.awaiting {
		before := len(n.pending)
		n.pending = slices.DeleteFunc(n.pending, func(over func() bool) bool { return over() })
		if len(n.pending) < before {
			n.progress = time.Now()
		}
		if n.complete && len(n.pending) == 0 {
			n.ready()
		}
	}
	wait := time.Until(n.counted.Add(statusGap))
	switch {
	case n.due, wait <= 0 && !n.armed:
		n.due = false
		n.counted = time.Now()
		n.flush()
	case !n.armed:
		n.armed = true
		n.after(wait, func() { n.armed, n.due = false, true })
	}
}

// tell sends what must arrive.
func (n *notifier) tell(text string) {
	n.unsent = append(n.unsent, text)
	n.flush()
}

// flush sends what has not been sent, and the status if the manager does not have it.
func (n *notifier) flush() {
	if n.retry > 0 {
		return
	}
	n.again(retryFirst)
}

// again is flush, after which it is tried again in pause if the socket is full.
func (n *notifier) again(pause time.Duration) {
	n.retry = 0
	for len(n.unsent) > 0 {
		if !n.try(n.unsent[0]) {
			n.later(pause)
			return
		}
		n.unsent = n.unsent[1:]
	}
	if text := n.status(); text != n.told {
		if !n.try("STATUS=" + text) {
			n.later(pause)
			return
		}
		n.told = text
	}
}

func (n *notifier) later(pause time.Duration) {
	n.retry = pause
	n.after(pause, func() { n.again(min(2*pause, retryLast)) })
}

// try sends once. It returns false if it makes sense to send the same again.
func (n *notifier) try(text string) bool {
	err := n.send(text)
	full := err == unix.EAGAIN || err == unix.ENOBUFS || err == unix.ENOMEM || err == unix.EINTR
	switch {
	case err == nil:
		n.heard = true
	case n.heard && (err == unix.ENOENT || err == unix.ECONNREFUSED):
		// This manager only wanted to know the beginning.
	case !n.failed:
		n.failed = true
		next := "the service manager is not told"
		if full {
			next = "trying again"
		}
		n.warn("", "cannot send to NOTIFY_SOCKET=%s: %v; %s", n.socket, err, next)
	}
	return !full
}
