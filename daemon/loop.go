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

func (m *mailbox) post(f func()) {
	m.mu.Lock()
	m.queue = append(m.queue, f)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run calls what is posted, in order, until done.
func (m *mailbox) run(done func() bool) {
	for !done() {
		<-m.wake
		m.mu.Lock()
		batch := m.queue
		m.queue = nil
		m.mu.Unlock()
		for _, f := range batch {
			f()
		}
	}
}
