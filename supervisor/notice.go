package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/reaper"
)

// notice makes the way by which run says that it is ready. Where it can have no name it ends with this process.
func (r *record) notice() (write, read int, err error) {
	if write, read, err = r.dir.MakeNotice(); err == nil {
		return write, read, nil
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, err
	}
	return p[1], p[0], unix.SetNonblock(p[0], true)
}

// noticeOf is what Info.Notice says of a process that is started with a Definition.
func noticeOf(def fsstate.Definition) string {
	if def.NotificationFD > 0 {
		return fsstate.NoticeOpen
	}
	return ""
}

// noticeAgain hears what the process that was taken over says, and has said meanwhile.
func (s *Supervisor) noticeAgain() {
	read, err := s.record.dir.Notice()
	s.postLater(func() {
		switch {
		case err != nil: // it has none that has a name
		case read >= 0:
			s.awaitNotice(read)
		case s.noticed == fsstate.NoticeOpen && s.state.Phase == Up && !ending(s.pid): // who is ready closes it, and nobody was there to hear the rest
			s.readied()
		}
	})
}

// ending tells whether a process has given up its descriptors because it is about to end.
func ending(pid int) bool {
	p, err := reaper.Look(pid)
	if err != nil || p.Zombie {
		return true
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(fds) == 0 && err == nil
}

// A notice is our end of what run says that it is ready with.
type notice struct {
	fd     int
	failed bool // it was said that it cannot be read
}

// awaitNotice reads what the process that was just started, or taken over, says until it has ended.
func (s *Supervisor) awaitNotice(fd int) {
	if s.pid == 0 || !s.state.running() || s.notice != nil { // it has ended already
		unix.Close(fd)
		return
	}
	s.notice = &notice{fd: fd}
	if s.state.Ready {
		s.drain(s.notice)
	} else {
		s.nextNotice(s.notice)
	}
}

// noticePause is how long it takes until what could not be read is tried again.
const noticePause = time.Second

// nextNotice waits for what it says next.
func (s *Supervisor) nextNotice(n *notice) {
	err := s.host.Controls.AddReady(n.fd, func() {
		text, err := peek(n.fd)
		s.post(func() {
			if s.notice == n {
				s.host.Controls.Remove(n.fd)
				s.hears(n, text, err)
			}
		})
	})
	if err != nil {
		s.deaf(n, err)
	}
}

// deaf tries again to read what it says.
func (s *Supervisor) deaf(n *notice, err error) {
	if !n.failed {
		n.failed = true
		s.host.Warn(s.Name, "cannot hear whether it is ready: %v; trying again every %v", err, noticePause)
	}
	s.after(noticePause, func() {
		if s.notice == n {
			s.nextNotice(n)
		}
	})
}

// hears handles what the process has said. That it is ready stays in the pipe until it is recorded: a successor
// hears it again.
func (s *Supervisor) hears(n *notice, text []byte, err error) {
	switch {
	case err == unix.EAGAIN:
		s.nextNotice(n)
	case err != nil:
		s.deaf(n, err)
	case len(text) == 0:
		s.unready()
	case bytes.IndexByte(text, '\n') < 0:
		unix.Read(n.fd, text) // no more than that
		s.nextNotice(n)
	default:
		s.readied()
		s.drainWhenRecorded(n)
	}
}

func (s *Supervisor) drainWhenRecorded(n *notice) {
	s.lane.Do(func() {
		recorded := s.record.failed == ""
		s.postLater(func() {
			switch {
			case s.notice != n:
			case recorded:
				s.drain(n)
			default:
				s.after(retryRecord, func() { s.drainWhenRecorded(n) })
			}
		})
	})
}

// drain reads what is of no interest any more, so that who says it need not wait.
func (s *Supervisor) drain(n *notice) {
	if err := s.host.Controls.Add(n.fd, func([]byte) {}); err != nil {
		s.after(noticePause, func() {
			if s.notice == n {
				s.drain(n)
			}
		})
	}
}

// peek reads what is in a pipe that can be read, and leaves it there. It returns nothing at its end.
func peek(fd int) (text []byte, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	text = make([]byte, 512)
	n, err := unix.Tee(fd, p[1], len(text), unix.SPLICE_F_NONBLOCK)
	if err == nil && n > 0 {
		_, err = unix.Read(p[0], text[:n])
	}
	return text[:max(n, 0)], err
}

// unready records at once what would look like readiness to a successor.
func (s *Supervisor) unready() {
	if s.noticed = fsstate.NoticeClosed; !s.state.Ready {
		s.said = "it has closed its notification descriptor and not said that it is ready"
	}
	s.queueStatus(true, s.lane.DoRecord)
}

// forgetNotice is called when the process has ended.
func (s *Supervisor) forgetNotice() {
	s.said, s.noticed = "", ""
	if s.notice != nil {
		s.host.Controls.Remove(s.notice.fd)
		unix.Close(s.notice.fd)
		s.notice = nil
	}
}
