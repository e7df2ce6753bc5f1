package fsstate

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Home holds a FIFO control for orders to the daemon. An order is one line, written at once: a verb, and the
// name of a FIFO beside control into which the daemon writes its answer, a text that ends with its end. The
// answer to an order that is refused begins with "refused: ".

// ErrNoDaemon says that no daemon listens.
var ErrNoDaemon = errors.New("no upkeep supervises it")

const (
	replyPrefix = "reply."
	refusedMark = "refused: "
)

// Listen makes and opens the FIFO control of the home, for reading without blocking.
func (h *Home) Listen() (fd int, err error) {
	if h == nil {
		return -1, unix.ENOENT
	}
	if h.control >= 0 {
		return h.control, nil
	}
	dir, err := open(h.path, unix.O_DIRECTORY|unix.O_PATH, 0)
	if err != nil {
		return -1, &OpError{"open", h.path, err}
	}
	defer unix.Close(dir)
	h.tidy() // before a client finds anybody to ask
	if h.control, err = openFIFOAt(dir, h.path, "control", unix.O_RDWR); err != nil {
		return -1, err
	}
	return h.control, nil
}

// tidy removes what clients have left that wait no more.
func (h *Home) tidy() {
	left, _ := filepath.Glob(filepath.Join(h.path, replyPrefix+"*"))
	for _, path := range left {
		fd, err := open(path, unix.O_WRONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			os.Remove(path)
			continue
		}
		unix.Close(fd)
	}
}

// ParseOrder reads one line of control.
func ParseOrder(line string) (verb, reply string, ok bool) {
	verb, reply, _ = strings.Cut(strings.TrimSpace(line), " ")
	ok = verb != "" && strings.HasPrefix(reply, replyPrefix) && !strings.Contains(reply, "/")
	return verb, reply, ok
}

// Answer writes the answer to an order. Whoever has stopped waiting does not get it.
func (h *Home) Answer(reply, text string) {
	if h == nil || reply == "" {
		return
	}
	fd, err := open(filepath.Join(h.path, reply), unix.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	unix.Write(fd, []byte(text))
	unix.Close(fd)
}

// Refuse answers that an order is not carried out.
func (h *Home) Refuse(reply, why string) { h.Answer(reply, refusedMark+why) }

// A Refusal is the reason of a daemon that has not done as it was asked.
type Refusal struct{ Why string }

func (r *Refusal) Error() string { return r.Why }

// Ask gives an order to the daemon whose home is at path and returns its answer. The error is ErrNoDaemon where
// there is none, a *Refusal, or os.ErrDeadlineExceeded when the answer does not come in time.
func Ask(path, verb string, patience time.Duration) (answer string, err error) {
	control, err := open(filepath.Join(path, "control"), unix.O_WRONLY|unix.O_NONBLOCK, 0)
	if err == unix.ENXIO || err == unix.ENOENT || err == unix.ENOTDIR {
		return "", ErrNoDaemon
	}
	if err != nil {
		return "", &OpError{"open", filepath.Join(path, "control"), err}
	}
	defer unix.Close(control)
	reply := fmt.Sprintf("%s%d.%d", replyPrefix, os.Getpid(), rand.Uint32())
	at := filepath.Join(path, reply)
	if err := unix.Mkfifo(at, 0o600); err != nil {
		return "", &OpError{"make", at, err}
	}
	defer os.Remove(at)
	fd, err := open(at, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", &OpError{"open", at, err}
	}
	f := os.NewFile(uintptr(fd), at)
	defer f.Close()
	if _, err := unix.Write(control, []byte(verb+" "+reply+"\n")); err != nil {
		return "", &OpError{"write to", filepath.Join(path, "control"), err}
	}
	// Until somebody has opened it for writing, a FIFO is neither readable nor at its end to poll(2).
	if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if err := awaitWriter(fd, control, patience); err != nil {
		return "", err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return "", err
	}
	if why, refused := strings.CutPrefix(string(text), refusedMark); refused {
		return "", &Refusal{why}
	}
	return string(text), nil
}

// awaitWriter waits until somebody has written to a FIFO or closed it again. The error is ErrNoDaemon if nobody
// reads control any more before that.
func awaitWriter(fd, control int, patience time.Duration) error {
	for end := time.Now().Add(patience); ; {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(control)}}
		n, err := unix.Poll(p, int(max(0, time.Until(end).Milliseconds())))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 0:
			return os.ErrDeadlineExceeded
		case p[0].Revents == 0: // unless the answer came in between
			if n, _ := unix.Poll(p[:1], 0); n == 0 {
				return ErrNoDaemon
			}
			return nil
		default:
			return nil
		}
	}
}
