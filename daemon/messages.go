package daemon

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// messages writes lines to a descriptor that may be a full pipe or a dead one. Nobody who has
// something to say waits for it: when the queue is full, its oldest lines are dropped.
type messages struct {
	program string // the name that begins every line
	queue   chan string
	unsaid  atomic.Int64 // lines that were not dropped and are not written yet
	over    chan struct{}
	ended   chan struct{}
}

const messageQueue = 1024

func newMessages(program string, fd int) *messages {
	m := &messages{program: program, queue: make(chan string, messageQueue), over: make(chan struct{}), ended: make(chan struct{})}
	go m.write(fd)
	return m
}

// write writes what is queued until it is over and nothing is queued.
func (m *messages) write(fd int) {
	defer close(m.ended)
	for {
		select {
		case line := <-m.queue:
			m.put(fd, line)
			continue
		case <-m.over:
		}
		if len(m.queue) == 0 {
			return
		}
	}
}

// put writes a line at once, so that lines of several writers do not mix. One that cannot be written has nowhere else
// to go.
func (m *messages) put(fd int, line string) {
	for unix.EAGAIN == write(fd, line) {
		unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
	}
	m.unsaid.Add(-1)
}

func write(fd int, line string) error {
	_, err := unix.Write(fd, []byte(line))
	return err
}

// line queues a line as it is.
func (m *messages) line(text string) {
	m.unsaid.Add(1)
	select {
	case m.queue <- text + "\n":
	default:
		m.dropOldest(text + "\n")
	}
}

// dropOldest makes room: what is wrong now matters more than what was.
func (m *messages) dropOldest(line string) {
	select {
	case <-m.queue:
		m.unsaid.Add(-1)
	default:
	}
	select {
	case m.queue <- line:
	default:
		m.unsaid.Add(-1)
	}
}

// warn queues a warning about a service, or about the daemon itself when who is empty.
func (m *messages) warn(who, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if who != "" {
		text = who + ": " + text
	}
	m.line(m.program + ": warning: " + printable(text))
}

// printable keeps a message on its line and its terminal in order, whatever a file is called.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

// flush waits until what is queued is written, but only for so long.
func (m *messages) flush(patience time.Duration) {
	for end := time.Now().Add(patience); m.unsaid.Load() > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// close writes what is queued, but waits only for so long. What somebody still has to say then is lost.
func (m *messages) close(patience time.Duration) {
	close(m.over)
	select {
	case <-m.ended:
	case <-time.After(patience):
	}
}
