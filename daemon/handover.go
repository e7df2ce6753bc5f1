package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/logpipe"
	"upkeep/reaper"
)

// handoverVar names, in the environment of the program that we execute in our own place and nowhere else,
// the descriptor from which it reads its Handover.
const handoverVar = "UPKEEP_HANDOVER"

// HandoverVersion is that of what is handed over and of supervise/resume. A program that does not understand it is
// not executed. Since version 2 resume says between which ticks a process was started, and no longer when.
// Since version 3 there are sockets.
const HandoverVersion = 3

// Handovers are the versions that this program understands.
const Handovers = "1 2 3"

// A Handover is what a process keeps when it executes upkeep anew in its own place, a new version or the
// same one after a panic: its descriptors, and what it knows of itself. What it knows of services is on disk.
// It is a line for each, so that every version can pass over what it does not know.
type Handover struct {
	home    [2]int // the lock and the control of the root, or -1
	command reaper.Process
	resumes int            // how often this process was executed anew
	panics  int            // in a row
	reply   string         // who waits for an answer to an order to upgrade
	spare   []int          // descriptors that are of no use, and that exec would take long to close
	caught  chan os.Signal // what is in it when all else is ready is handed over
	signals []unix.Signal  // that nobody has acted upon

	mu      sync.Mutex
	dirs    map[fsstate.ID]fsstate.Held // by the supervise directory
	sockets map[fsstate.ID]int          // likewise, to which services say that they are ready
	pipes   map[fsstate.ID]logpipe.Held // by the service directory
}

func newHandover() *Handover {
	return &Handover{
		home: [2]int{-1, -1},
		dirs: make(map[fsstate.ID]fsstate.Held), sockets: make(map[fsstate.ID]int), pipes: make(map[fsstate.ID]logpipe.Held),
	}
}

// receive returns what was handed over to this process, or nil. The environment then no longer says so.
func receive() (*Handover, error) {
	text, set := os.LookupEnv(handoverVar)
	if !set {
		return nil, nil
	}
	os.Unsetenv(handoverVar)
	fd, err := strconv.Atoi(text)
	if err != nil || fd <= unix.Stderr {
		return nil, fmt.Errorf("cannot use %s=%s: it is not a descriptor", handoverVar, text)
	}
	f := os.NewFile(uintptr(fd), "handover")
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("cannot read what was handed over: %w", err)
	}
	b := make([]byte, st.Size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("cannot read what was handed over: %w", err)
	}
	return parseHandover(b)
}

func (h *Handover) append(b []byte) []byte {
	b = fmt.Appendf(b, "v %d\nhome %d %d\n", HandoverVersion, h.home[0], h.home[1])
	b = fmt.Appendf(b, "command %d %d\n", h.command.Pid, h.command.Start)
	b = fmt.Appendf(b, "count %d %d\n", h.resumes, h.panics)
	if h.reply != "" {
		b = fmt.Appendf(b, "reply %s\n", h.reply)
	}
	for _, fd := range h.spare {
		b = fmt.Appendf(b, "spare %d\n", fd)
	}
	for _, s := range h.signals {
		b = fmt.Appendf(b, "signal %d\n", s)
	}
	for id, d := range h.dirs {
		b = fmt.Appendf(b, "dir %d %d %d %d %d\n", id.Dev, id.Ino, d.Lock, d.Control, d.OK)
	}
	for id, fd := range h.sockets {
		b = fmt.Appendf(b, "socket %d %d %d\n", id.Dev, id.Ino, fd)
	}
	for id, p := range h.pipes {
		b = fmt.Appendf(b, "pipe %d %d %d %d %d\n", id.Dev, id.Ino, p.Both, p.Reader, p.Writer)
	}
	return b
}

func parseHandover(b []byte) (*Handover, error) {
	h := newHandover()
	for line := range bytes.Lines(b) {
		key, rest, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		if key == "reply" {
			h.reply = rest
			continue
		}
		n, err := numbers(rest)
		if err != nil {
			continue
		}
		switch {
		case key == "home" && len(n) == 2:
			h.home = [2]int(n)
		case key == "command" && len(n) == 2:
			h.command = reaper.Process{Pid: n[0], Start: uint64(n[1])}
		case key == "count" && len(n) == 2:
			h.resumes, h.panics = n[0], n[1]
		case key == "spare" && len(n) == 1:
			h.spare = append(h.spare, n[0])
		case key == "signal" && len(n) == 1:
			h.signals = append(h.signals, unix.Signal(n[0]))
		case key == "dir" && len(n) == 5:
			h.dirs[fsstate.ID{Dev: uint64(n[0]), Ino: uint64(n[1])}] = fsstate.Held{Lock: n[2], Control: n[3], OK: n[4]}
		case key == "socket" && len(n) == 3:
			h.sockets[fsstate.ID{Dev: uint64(n[0]), Ino: uint64(n[1])}] = n[2]
		case key == "pipe" && len(n) == 5:
			h.pipes[fsstate.ID{Dev: uint64(n[0]), Ino: uint64(n[1])}] = logpipe.Held{Both: n[2], Reader: n[3], Writer: n[4]}
		}
	}
	return h, nil
}

func numbers(s string) (list []int, err error) {
	for f := range strings.FieldsSeq(s) {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return nil, err
		}
		list = append(list, int(n))
	}
	return list, nil
}

// root gives away the lock and the control of the root, or -1. It may be called on a nil Handover.
func (h *Handover) root() (lock, control int) {
	if h == nil {
		return -1, -1
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	lock, control = h.home[0], h.home[1]
	h.home = [2]int{-1, -1}
	return lock, control
}

// dir gives away what holds a supervise directory. It may be called on any goroutine, and on a nil Handover.
func (h *Handover) dir(id fsstate.ID) (fsstate.Held, bool) {
	if h == nil {
		return fsstate.Held{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d, there := h.dirs[id]
	delete(h.dirs, id)
	return d, there
}

// socket gives away the one to which the service of a supervise directory says that it is ready. It may be called on
// any goroutine, and on a nil Handover.
func (h *Handover) socket(id fsstate.ID) (fd int, ok bool) {
	if h == nil {
		return -1, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	fd, there := h.sockets[id]
	delete(h.sockets, id)
	return fd, there
}

// pipe gives away the log pipe of a service directory.
func (h *Handover) pipe(id fsstate.ID) (logpipe.Held, bool) {
	if h == nil {
		return logpipe.Held{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p, there := h.pipes[id]
	delete(h.pipes, id)
	return p, there
}

// passOn gives to another Handover what nobody has asked for. It may be called on a nil Handover.
func (h *Handover) passOn(to *Handover) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.Copy(to.dirs, h.dirs)
	maps.Copy(to.sockets, h.sockets)
	maps.Copy(to.pipes, h.pipes)
}

// descriptors lists all of them. It may be called on a nil Handover.
func (h *Handover) descriptors() []int {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all()
}

// all is called with the lock held.
func (h *Handover) all() (list []int) {
	list = append(append(list, h.home[:]...), h.spare...)
	for _, d := range h.dirs {
		list = append(list, d.Lock, d.Control, d.OK)
	}
	for _, fd := range h.sockets {
		list = append(list, fd)
	}
	for _, p := range h.pipes {
		list = append(list, p.Both, p.Reader, p.Writer)
	}
	return list
}

// dropSpare closes what is of no use, which nobody waits for. It may be called on a nil Handover.
func (h *Handover) dropSpare() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, fd := range h.spare {
		if fd > unix.Stderr {
			go unix.Close(fd)
		}
	}
	h.spare = nil
}

// close gives up what nobody has asked for.
func (h *Handover) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, fd := range h.all() {
		if fd > unix.Stderr {
			unix.Close(fd)
		}
	}
	clear(h.dirs)
	clear(h.sockets)
	clear(h.pipes)
	h.home = [2]int{-1, -1}
}

// execute executes the program at path in place of this process, and returns only if that fails. It runs
// on a thread that has the descriptors of all.
func (h *Handover) execute(path string) error {
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: its signals are blocked
		failed <- h.become(path)
	}()
	return <-failed
}

func (h *Handover) become(path string) error {
	fd, err := unix.MemfdCreate("upkeep-handover", 0)
	if err != nil {
		return fmt.Errorf("cannot keep what is to be handed over: %w", err)
	}
	defer unix.Close(fd)
	// No child may be born while our descriptors are to stay open in what is executed.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	list := h.descriptors()
	inherit := func(flags int) {
		for _, fd := range list {
			if fd > unix.Stderr {
				unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags)
			}
		}
	}
	inherit(0)
	// Until its successor listens, a signal to this process must not end it.
	listen := reaper.BlockSignals()
	h.collect() // as late as can be: what another thread still catches after that is lost
	table := h.append(nil)
	if n, err := unix.Write(fd, table); n < len(table) {
		listen()
		inherit(unix.FD_CLOEXEC)
		h.giveBack()
		return fmt.Errorf("cannot keep what is to be handed over: %w", errors.Join(err))
	}
	env := append(os.Environ(), fmt.Sprintf("%s=%d", handoverVar, fd))
	err = syscall.Exec(path, os.Args, env)
	listen()
	inherit(unix.FD_CLOEXEC)
	h.giveBack()
	return fmt.Errorf("cannot execute %s: %w", path, err)
}

// collect takes the signals that were caught, and giveBack lets them be acted upon here.
func (h *Handover) collect() {
	for {
		select {
		case s := <-h.caught:
			h.signals = append(h.signals, s.(unix.Signal))
		default:
			return
		}
	}
}

func (h *Handover) giveBack() {
	for _, s := range h.signals {
		select {
		case h.caught <- s:
		default:
		}
	}
	h.signals = nil
}

// relay lets what was caught by the program before be acted upon by this one. It may be called on a nil Handover.
func (h *Handover) relay(to chan os.Signal) {
	if h != nil {
		h.caught = to
		h.giveBack()
	}
}
