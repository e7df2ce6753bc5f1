package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/reaper"
)

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

// bindPatience is how long an upkeep that was killed may have its descriptors still, beside a child that it has just
// forked.
const bindPatience = 200 * time.Millisecond

func bind(fd int, name string) error {
	address := &unix.SockaddrUnix{Name: name}
	err := unix.Bind(fd, address)
	if err != unix.EADDRINUSE {
		return err
	}
	reaper.Settle()
	for begun := time.Now(); err == unix.EADDRINUSE && time.Since(begun) < bindPatience; time.Sleep(time.Millisecond) {
		err = unix.Bind(fd, address)
	}
	return err
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
