// Package logpipe is the pipe between a service and its logger, and the logging engine that may be the
// logger.
//
// Through a Pipe the kernel moves the bytes; whoever holds it never reads or writes them. It holds both
// ends, so that neither the death of the service nor that of the logger loses a line, and neither sees
// an end of file or a broken pipe.
//
// A Log is what multilog does with the lines that it reads: one for each log, several in a process if
// need be.
package logpipe

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// A Pipe has a name wherever its file system allows, and then takes one descriptor; else it is an
// anonymous pipe and takes two.
type Pipe struct {
	path string // of the FIFO
	both int    // the FIFO, for reading and writing, or -1
	r, w int    // the anonymous pipe, or -1
}

// Open opens the FIFO at path, and makes it with mode 0600 where it is missing. What an earlier
// holder left in it is kept. Where that fails the pipe is anonymous, and the error says why it has
// no name; the Pipe is nil only when there can be none at all.
func Open(path string) (*Pipe, error) {
	fd, err := openFIFO(path)
	if err == nil {
		return &Pipe{path: path, both: fd, r: -1, w: -1}, nil
	}
	err = fmt.Errorf("cannot use %s: %w", path, err)
	var p [2]int
	if perr := unix.Pipe2(p[:], unix.O_CLOEXEC); perr != nil {
		return nil, fmt.Errorf("%w, and cannot make a pipe: %w", err, perr)
	}
	return &Pipe{both: -1, r: p[0], w: p[1]}, err
}

func openFIFO(path string) (int, error) {
	made := unix.Mkfifo(path, 0o600)
	if made != nil && made != unix.EEXIST && made != unix.EROFS {
		return -1, made
	}
	// Opened for both, a FIFO never blocks the opener.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT && made == unix.EROFS {
		err = made
	}
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		unix.Close(fd)
		return -1, fmt.Errorf("it is not a FIFO")
	}
	return fd, nil
}

// A Held is the descriptors that a Pipe keeps, -1 where it has none.
type Held struct{ Both, Reader, Writer int }

// Held returns them, to be handed on to the program that this process executes in its own place.
func (p *Pipe) Held() Held { return Held{p.both, p.r, p.w} }

// Inherit returns the Pipe, known by path if it has a name, that was handed on to this process.
func Inherit(path string, h Held) *Pipe {
	p := &Pipe{both: h.Both, r: h.Reader, w: h.Writer}
	if p.both >= 0 {
		p.path = path
	}
	return p
}

// Named tells whether the Pipe has a name, by which its ends can be opened on any thread.
func (p *Pipe) Named() bool { return p.path != "" }

// Reader returns a new descriptor for reading only, which the caller closes.
func (p *Pipe) Reader() (int, error) { return p.end(p.r, unix.O_RDONLY) }

// Writer returns a new descriptor for the service, which the caller closes. Where the pipe has a name it is for
// reading too: then it is the service that keeps it alive while neither upkeep nor a logger does, and no line
// is lost.
func (p *Pipe) Writer() (int, error) { return p.end(p.w, unix.O_RDWR) }

// end opens the FIFO anew. A duplicate would be open for both, and its holder would never see an end
// of file; it would also share our O_NONBLOCK. Through /proc the FIFO is found wherever it was moved.
func (p *Pipe) end(anonymous, mode int) (int, error) {
	if p.both < 0 {
		return unix.FcntlInt(uintptr(anonymous), unix.F_DUPFD_CLOEXEC, 0)
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", p.both), mode|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		fd, err = unix.Open(p.path, mode|unix.O_CLOEXEC, 0)
	}
	return fd, err
}

// Close lets go of both ends: once the last writer is gone too, the logger reads what is left and
// then the end of the file.
func (p *Pipe) Close() {
	for _, fd := range []*int{&p.both, &p.r, &p.w} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}
