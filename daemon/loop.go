package daemon

import "sync"

// A mailbox is the queue of the daemon's one goroutine that owns all state. Who posts never waits, so
// nothing can hold up the reaper or the goroutine that hears the letters.
type mailbox struct {
	mu    sync.Mutex
	queue []func()
	wake  chan struct{} // holds one token while the queue is not empty
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// post queues a function and wakes the goroutine.
func (m *mailbox) post(f func()) {
	m.postLater(f)
	m.rouse()
}

// postLater queues a function for when somebody rouses the goroutine.
func (m *mailbox) postLater(f func()) {
	m.mu.Lock()
	m.queue = append(m.queue, f)
	m.mu.Unlock()
}

// rouse wakes the goroutine.
func (m *mailbox) rouse() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run calls what is posted, in order.
func (m *mailbox) run() {
	m.mu.Lock()
	batch := m.queue
	m.queue = nil
	m.mu.Unlock()
	for _, f := range batch {
		f()
	}
}
