package supervisor

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/reaper"
)

// A service says that it is ready by a newline on a descriptor that it was given (s6), or by a datagram to a
// socket (systemd). The descriptor's other end lives as long as the process and is lost with upkeep; the
// socket's name stays, so that a new upkeep has the same.

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
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("cannot make a pipe for its notice of readiness: %w", err)
	}
	unix.SetNonblock(p[0], true)
	spec.Notice, spec.NoticeFD = p[1], def.NotificationFD
	return func(err error) {
		unix.Close(p[1])
		if err != nil {
			unix.Close(p[0])
			return
		}
		s.postLater(func() { s.awaitNotice(p[0]) })
	}, nil
}

// awaitNotice reads what the process that was just started says, until it has ended.
func (s *Supervisor) awaitNotice(fd int) {
	if s.pid == 0 || !s.state.running() || s.notice > 0 { // it has ended already
		unix.Close(fd)
		return
	}
	said := false
	err := s.host.Controls.Add(fd, func(text []byte) {
		switch {
		case said:
		case text == nil:
			s.post(func() { s.unready(fd) })
		case bytes.IndexByte(text, '\n') >= 0:
			said = true
			s.post(func() {
				if s.notice == fd {
					s.readied()
				}
			})
		}
	})
	if err != nil {
		unix.Close(fd)
		s.host.Warn(s.Name, "cannot listen to its notice of readiness: %v; it does not become ready", err)
		return
	}
	s.notice = fd
}

func (s *Supervisor) readied() {
	if s.state.running() && !s.state.Ready {
		s.ready = time.Now()
		s.event(Event{Kind: Readied})
		s.tell(fsstate.EventReady)
	}
}

func (s *Supervisor) unready(fd int) {
	if s.notice == fd && s.state.running() && !s.state.Ready {
		s.saying("it has closed its notification descriptor and not said that it is ready")
	}
}

// forgetNotice is called when the process has ended.
func (s *Supervisor) forgetNotice() {
	s.said = ""
	if s.notice > 0 {
		s.host.Controls.Remove(s.notice)
		unix.Close(s.notice)
		s.notice = 0
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

// sayingPause is the time between two records of what a service says about itself.
const sayingPause = 200 * time.Millisecond

// openSocket opens the service's socket, unless it is open, and returns its name as run is to know it. It is
// an abstract one: supervise is for root only, and a service that runs as somebody else is to reach it.
func (r *record) openSocket(s *Supervisor) (name string) {
	id, _ := r.dir.Held()
	name = fmt.Sprintf("@upkeep/notify/%x-%x", id.Dev, id.Ino)
	if r.socket > 0 {
		return name
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrUnix{Name: name})
		}
		if err == nil {
			err = s.host.Controls.AddEach(fd, func() { s.hear(fd) })
		}
		if err != nil {
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
