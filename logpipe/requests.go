package logpipe

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Request is what a Log is asked to do while it reads.
type Request uint32

const (
	Stop       Request = 1 << iota // at the end of the line
	Rotate                         // the directories that have something to rotate
	ReopenLogs                     // the files, by their names
)

// Requests reach a Log that waits for its input, and one that does not, before it reads more of it. Any
// goroutine may ask.
type Requests struct {
	pending atomic.Uint32
	wake    int // an eventfd: readable while there may be requests
	settle  func()
	one     [8]byte // what wake counts; count is what it has counted, for reuse
	count   [8]byte
}

// NewRequests returns Requests without any. Before input is read that there is, settle, unless nil, asks for
// what its caller knows to have come before that: a line that is written after a TERM was sent belongs
// to the next reader.
func NewRequests(settle func()) (*Requests, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &Requests{wake: fd, settle: settle, one: [8]byte{1}}, nil
}

// Ask asks for r. Several that are not heard in between are one.
func (q *Requests) Ask(r Request) {
	q.pending.Or(uint32(r))
	q.Wake()
}

// Wake makes a Log that waits look whether there is something to settle.
func (q *Requests) Wake() {
	unix.Write(q.wake, q.one[:]) // fails only where more than enough are counted already
}

// hear returns the requests since the last call.
func (q *Requests) hear() Request { return Request(q.pending.Swap(0)) }

// wait waits until fd can be read, and then returns true, or until there may be a request.
func (q *Requests) wait(fd int) bool {
	both := [2]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(q.wake), Events: unix.POLLIN}}
	n, _ := unix.Poll(both[:], -1)
	if n > 0 && both[1].Revents != 0 {
		// The count is cleared first: what is asked for after that counts anew.
		unix.Read(q.wake, q.count[:])
	}
	if q.settle != nil {
		q.settle()
	}
	return n > 0 && both[0].Revents != 0 && q.pending.Load() == 0
}

// Close frees the descriptor. Nobody may ask any more.
func (q *Requests) Close() { unix.Close(q.wake) }
