package daemon

import (
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A rescuer makes the best of a panic: it says what has happened, and has this process executed anew, which
// every service outlives.
type rescuer struct {
	once     sync.Once
	messages *messages
	resume   func() // nil where nothing can be resumed
}

// rescue is deferred at the root of a goroutine.
func (r *rescuer) rescue() {
	if p := recover(); p != nil {
		r.panicked(p, debug.Stack())
	}
}

// panicked does not return: the goroutine has nothing to go on with.
func (r *rescuer) panicked(p any, stack []byte) {
	r.once.Do(func() {
		write(unix.Stderr, fmt.Sprintf("%s: panic: %v\n%s", r.messages.program, p, stack))
		if r.resume == nil {
			os.Exit(exitSystem)
		}
		r.resume()
	})
	select {}
}

// panicPeriod is how long after it was executed anew a panic is another one in a row.
const panicPeriod = 10 * time.Second

// afterPanic executes the running program, which may have been replaced, anew.
func (d *daemon) afterPanic() {
	panics := 1
	if time.Since(d.since) < panicPeriod {
		panics = d.panics + 1
	}
	// Whoever has the turn may be the one that has panicked.
	if d.locked(panicPatience) {
		h := d.handover()
		h.panics = panics
		d.tryExecute(h)
	}
	h := newHandover()
	h.home[0], h.home[1] = d.home.Held()
	h.panics, h.resumes, h.caught = panics, d.resumes+1, d.signals
	d.tryExecute(h)
	os.Exit(exitSystem)
}

// panicPatience is how long a panic waits for the turn.
const panicPatience = time.Second

// locked takes the turn for good, unless that takes too long.
func (d *daemon) locked(patience time.Duration) bool {
	for end := time.Now().Add(patience); !d.turns.TryLock(); {
		if time.Now().After(end) {
			return false
		}
		time.Sleep(time.Millisecond)
	}
	return true
}

// tryExecute returns if nothing can be executed.
func (d *daemon) tryExecute(h *Handover) {
	for _, path := range [...]string{"/proc/self/exe", d.program} {
		err := h.execute(path)
		write(unix.Stderr, d.messages.program+": cannot go on after the panic: "+err.Error()+"\n")
	}
}

// calmDown waits before a process that panics again and again begins, longer each time. Its services run on.
func (m *machinery) calmDown(panics int) {
	if panics < 2 {
		return
	}
	pause := min(time.Second<<(min(panics, 8)-2), time.Minute)
	m.messages.warn("", "%d panics in a row; the services run on, and it goes on in %v", panics, pause)
	time.Sleep(pause)
}
