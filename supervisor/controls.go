package supervisor

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Controls reads the control FIFOs of all services, on one goroutine and without a thread that waits.
type Controls struct {
	epoll  *os.File
	rescue func()
	gate   sync.Mutex // held while something is read, and by Pause

	mu      sync.Mutex // held while a FIFO is read, so that Remove returns only when nobody reads it
	readers map[int32]reader
}

// A reader is one of these, see Add, AddReady and AddEach.
type reader struct {
	letters     func([]byte)
	ready, each func()
}

// NewControls starts the goroutine; it ends with Close. rescue, unless it is nil, is deferred at its root.
func NewControls(rescue func()) (*Controls, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create", err)
	}
	// Only a descriptor that does not block can wait in the runtime's own poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	c := &Controls{rescue: rescue, epoll: os.NewFile(uintptr(fd), "epoll"), readers: make(map[int32]reader)}
	go c.poll()
	return c, nil
}

// Add makes handler be called with what is written into the FIFO or pipe. The bytes are the handler's only
// until it returns. It is called once with none, and then no more, when nobody can write any more.
func (c *Controls) Add(fd int, handler func([]byte)) error {
	return c.add(fd, unix.EPOLLIN, reader{letters: handler})
}

// AddReady makes handler be called, once, when the descriptor can be read, as that of a process when that
// has ended.
func (c *Controls) AddReady(fd int, handler func()) error {
	return c.add(fd, unix.EPOLLIN|unix.EPOLLONESHOT, reader{ready: handler})
}

// AddEach makes handler be called whenever the descriptor can be read, to read it without waiting. It may not
// call back.
func (c *Controls) AddEach(fd int, handler func()) error {
	return c.add(fd, unix.EPOLLIN, reader{each: handler})
}

// add may find what has had that number before, and was closed without Remove.
func (c *Controls) add(fd int, events uint32, r reader) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.control(unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	if err == nil {
		c.readers[int32(fd)] = r
	}
	return err
}

// Remove ends the calls for the FIFO, which the caller may then close.
func (c *Controls) Remove(fd int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.control(unix.EPOLL_CTL_DEL, fd, nil)
	delete(c.readers, int32(fd))
}

// Close ends the goroutine.
func (c *Controls) Close() { c.epoll.Close() }

func (c *Controls) control(op, fd int, ev *unix.EpollEvent) error {
	raw, err := c.epoll.SyscallConn()
	if err != nil {
		return err
	}
	var ctlErr error
	if err := raw.Control(func(ep uintptr) { ctlErr = unix.EpollCtl(int(ep), op, fd, ev) }); err != nil {
		return err
	}
	return os.NewSyscallError("epoll_ctl", ctlErr)
}

func (c *Controls) poll() {
	if c.rescue != nil {
		defer c.rescue()
	}
	raw, err := c.epoll.SyscallConn()
	if err != nil {
		return
	}
	var events [64]unix.EpollEvent
	var buf [512]byte
	for {
		n := 0
		err := raw.Read(func(ep uintptr) bool {
			n, _ = unix.EpollWait(int(ep), events[:], 0)
			return n > 0
		})
		if err != nil {
			return // closed
		}
		for _, ev := range events[:n] {
			c.serve(ev.Fd, buf[:])
		}
	}
}

func (c *Controls) serve(fd int32, buf []byte) {
	c.gate.Lock()
	defer c.gate.Unlock()
	if handler := c.readyHandler(fd); handler != nil {
		handler()
	} else {
		c.read(fd, buf)
	}
}

// Pause lets what is written from now on wait in the FIFOs, until Resume.
func (c *Controls) Pause() { c.gate.Lock() }

// Resume ends Pause.
func (c *Controls) Resume() { c.gate.Unlock() }

func (c *Controls) readyHandler(fd int32) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readers[fd].ready
}

// read takes one read's worth of letters: what a client wrote at once stays together.
func (c *Controls) read(fd int32, buf []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.readers[fd]
	if r.each != nil {
		r.each()
		return
	}
	if r.letters == nil {
		return
	}
	switch n, err := unix.Read(int(fd), buf); {
	case err != nil:
	case n > 0:
		r.letters(buf[:n])
	default:
		c.control(unix.EPOLL_CTL_DEL, int(fd), nil)
		delete(c.readers, fd)
		r.letters(nil)
	}
}
