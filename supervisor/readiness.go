package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/reaper"
)

// A service says that it is ready by a newline on a descriptor that it was given (s6), or by a datagram to a
// socket (systemd). Both have a name, by which a new upkeep finds them again.

// tellsReadiness tells whether executing run opens a descriptor that lasts.
func tellsReadiness(def *fsstate.Definition) bool { return def.NotificationFD > 0 || def.NotifySocket }

// heard returns what executes run so that it can say that it is ready. quick says that the step may be on a
// thread with descriptors of its own.
func (s *Supervisor) heard(spec *reaper.Spec, def fsstate.Definition, quick bool, execute func() error) func() error {
	all := func() error {
		heard, err := s.notices(spec, def)
		if err == nil {
			err = execute()
			heard(err)
		}
		return err
	}
	if !quick {
		return all
	}
	return func() (err error) { // the directory has asked for it only now
		elsewhere(func() { err = all() })
		return err
	}
}

// notices prepares spec so that run can say that it is ready. heard is to be called when run was executed, or
// with the reason why it was not. It is called on the lane.
func (s *Supervisor) notices(spec *reaper.Spec, def fsstate.Definition) (heard func(error), err error) {
	if def.NotifySocket {
		if name := s.record.openSocket(s); name != "" {
			spec.Env = append(slices.Clip(spec.Env), "NOTIFY_SOCKET="+name)
		}
	}
	if def.NotificationFD == 0 {
		return func(error) {}, nil
	}
	write, read, err := s.record.notice()
	if err != nil {
		return nil, fmt.Errorf("cannot make a pipe for its notice of readiness: %w", err)
	}
	spec.Notice, spec.NoticeFD = write, def.NotificationFD
	return func(err error) {
		unix.Close(write)
		if err != nil {
			unix.Close(read)
			return
		}
		s.postLater(func() { s.awaitNotice(read) })
	}, nil
}

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

// hearAgain goes on listening to a process that was taken over.
func (s *Supervisor) hearAgain() {
	if s.def.NotifySocket {
		s.lane.Do(func() { s.record.openSocket(s) })
	}
	if s.noticed == fsstate.NoticeOpen || s.noticed == "" && s.def.NotificationFD > 0 { // an older upkeep does not say
		s.lane.Do(s.noticeAgain)
	}
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

func (s *Supervisor) readied() {
	if s.state.running() && !s.state.Ready {
		s.ready = time.Now()
		s.event(Event{Kind: Readied})
		s.tell(fsstate.EventReady)
	}
}

// unready records at once what would look like readiness to a successor.
func (s *Supervisor) unready() {
	s.noticed = fsstate.NoticeClosed
	if !s.state.Ready {
		s.saying("it has closed its notification descriptor and not said that it is ready")
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

// saying sets what svstat --long says for the service. It may change often.
func (s *Supervisor) saying(text string) {
	if s.said == text {
		return
	}
	s.said = text
	if s.noting == nil {
		s.noting = s.after(sayingPause, func() {
			if s.noting = nil; s.state.Phase != Gone {
				s.writeStatus(true)
			}
		})
	}
}

// Flush records without delay what the service says about itself.
func (s *Supervisor) Flush() {
	if s.noting != nil && s.begun && s.state.Phase != Gone {
		stop(s.noting)
		s.noting = nil
		s.queueStatus(true, s.lane.DoRecord)
	}
}

// sayingPause is the time between two records of what a service says about itself.
const sayingPause = 200 * time.Millisecond

// openSocket opens the service's socket, unless it is open, and returns its name as run is to know it. It is
// an abstract one: supervise is for root only, and a service that runs as somebody else is to reach it.
func (r *record) openSocket(s *Supervisor) string {
	id, _ := r.dir.Held()
	name := fmt.Sprintf("@upkeep/notify/%x-%x", id.Dev, id.Ino)
	if r.socket > 0 {
		return name
	}
	fd, err := s.host.socket(id, name)
	if err == nil {
		if err = s.host.Controls.AddEach(fd, func() { s.hear(fd) }); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		s.postLater(func() {
			s.host.Warn(s.Name, "cannot listen to the socket %s: %v; it does not become ready", name, err)
		})
		return ""
	}
	r.socket = fd
	return name
}

// socket returns the one of a supervise directory that was handed on to this process, with what was said to it
// meanwhile, or makes it.
func (h *Host) socket(id fsstate.ID, name string) (fd int, err error) {
	if h.Socket != nil {
		if fd, handed := h.Socket(id); handed {
			return fd, nil
		}
	}
	if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return -1, err
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err == nil {
		err = bind(fd, name)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// bindPatience is how long a child that an upkeep which was killed has just forked may have its descriptors.
const bindPatience = 200 * time.Millisecond

func bind(fd int, name string) error {
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		err := unix.Bind(fd, &unix.SockaddrUnix{Name: name})
		if err != unix.EADDRINUSE || time.Since(begun) > bindPatience {
			return err
		}
	}
}

func (r *record) closeSocket(h *Host) {
	if r.socket > 0 {
		h.Controls.Remove(r.socket)
		unix.Close(r.socket)
		r.socket = 0
	}
}

// hear reads one datagram. Anybody can send one: only what the service's own processes say counts.
func (s *Supervisor) hear(fd int) {
	var text [4096]byte
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred)) // too short for descriptors, which the kernel then closes
	n, oobn, _, _, err := unix.Recvmsg(fd, text[:], oob, 0)
	if err != nil {
		return
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) == 0 {
		return
	}
	cred, err := unix.ParseUnixCredentials(&messages[0])
	if err != nil {
		return
	}
	sender, err := reaper.Look(int(cred.Pid))
	if err != nil {
		sender.Pid = int(cred.Pid)
	}
	inside := false
	if s.Group != nil {
		pids, _ := s.Group.Pids()
		inside = slices.Contains(pids, sender.Pid)
	}
	said := string(text[:n])
	obey := func() {
		pid := s.pid
		if s.state.running() && (inside || sender.Pid == pid || sender.Parent == pid || sender.Session == pid) {
			s.obey(said)
		}
	}
	s.post(func() {
		if s.state.Phase == Starting { // it is faster than the news of its start
			s.early = obey
		} else {
			obey()
		}
	})
}

// obey does what a datagram says, as far as it means something here; see sd_notify(3).
func (s *Supervisor) obey(datagram string) {
	for line := range strings.SplitSeq(datagram, "\n") {
		name, value, _ := strings.Cut(line, "=")
		switch {
		case name == "STATUS":
			s.saying(value)
		case name == "READY" && value == "1":
			s.readied()
		}
	}
}
