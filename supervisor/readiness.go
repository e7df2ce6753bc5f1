package supervisor

import (
	"fmt"
	"slices"
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

// hearAgain goes on listening to a process that was taken over.
func (s *Supervisor) hearAgain() {
	if s.def.NotifySocket {
		s.lane.Do(func() { s.record.openSocket(s) })
	}
	if s.noticed == fsstate.NoticeOpen || s.noticed == "" && s.def.NotificationFD > 0 { // an older upkeep does not say
		s.lane.Do(s.noticeAgain)
	}
}

func (s *Supervisor) readied() {
	if s.state.running() && !s.state.Ready {
		s.ready = time.Now()
		s.event(Event{Kind: Readied})
		s.tell(fsstate.EventReady)
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
