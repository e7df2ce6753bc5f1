package daemon

import "sync"

// A mailbox is the queue of the daemon's one goroutine that owns all state. Who posts never waits, so
// nothing can hold up the reaper or the goroutine that hears the letters.
type mailbox struct {
	mu     sync.Mutex
	urgent []func() // called before what is in the queue
	queue  []mail
	wake   chan struct{} // holds one token while anything is posted
}

// mail is what to call. short, unless nil, is tried in its place by who has few descriptors: it uses none,
// and returns false if it can do nothing.
type mail struct {
	run   func()
	short func() bool
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// post queues a function and wakes the goroutine.
func (m *mailbox) post(f func()) {
	m.postLater(f)
	m.rouse()
}

// postFirst queues a function before all others, and wakes the goroutine.
func (m *mailbox) postFirst(f func()) {
	m.mu.Lock()
	m.urgent = append(m.urgent, f)
	m.mu.Unlock()
	m.rouse()
}

// postLater queues a function for when somebody rouses the goroutine.
func (m *mailbox) postLater(f func()) { m.postEnd(nil, f) }

// postEnd is postLater for what may have a short way.
func (m *mailbox) postEnd(short func() bool, f func()) {
	m.mu.Lock()
	m.queue = append(m.queue, mail{f, short})
	m.mu.Unlock()
}

// empty tells whether nothing is posted.
func (m *mailbox) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue)+len(m.urgent) == 0
}

// rouse wakes the goroutine.
func (m *mailbox) rouse() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// rouseForAny wakes the goroutine if anything is posted, and tells whether that is so.
func (m *mailbox) rouseForAny() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue)+len(m.urgent) == 0 {
		return false
	}
	m.rouse()
	return true
}

// run calls what is posted, in order. What is not called yet stays in the queue, so that a function that runs the
// queue itself before this process is executed anew leaves nothing behind.
func (m *mailbox) run() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hurry()
	for n := len(m.queue); n > 0 && len(m.queue) > 0; n-- {
		one := m.queue[0]
		m.queue[0] = mail{}
		if m.queue = m.queue[1:]; len(m.queue) == 0 {
			m.queue = nil
		}
		m.unlocked(func() bool { one.run(); return true })
		m.hurry()
	}
}

// hurry calls what is urgent.
func (m *mailbox) hurry() {
	for len(m.urgent) > 0 {
		f := m.urgent[0]
		m.urgent = m.urgent[1:]
		m.unlocked(func() bool { f(); return true })
	}
}

// runShort calls what is posted, in order, as far as there is a short way, and leaves the rest to the goroutine.
// It tells whether anything was posted.
func (m *mailbox) runShort() (some bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.queue) > 0 {
		some = true
		one := m.queue[0]
		if one.short == nil || !m.unlocked(one.short) {
			m.rouse()
			break
		}
		m.queue = m.queue[1:]
	}
	return some
}

func (m *mailbox) unlocked(f func() bool) bool {
	m.mu.Unlock()
	defer m.mu.Lock()
	return f()
}
