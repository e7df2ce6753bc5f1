package daemon

import (
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/supervisor"
)

// stopping is the end of everything: services first, in the reverse of the order of their start and
// without waiting for each other, but for those that come after them; each logger when its service is gone;
// then what services left behind. It ends the moment the last process is gone.
type stopping struct {
	d        *daemon
	code     *int // of the process whose end ends everything; nil for none
	deadline time.Time
	told     map[int]bool // orphans that were sent TERM a moment ago
	late     bool         // the deadline is over
	halted   bool         // every service was told to stop
	last     bool         // only what nobody supervises is left
	looking  bool         // check will be called, when it is known whose a child is
}

// stopAll begins to stop everything, or brings an earlier deadline. code is the exit code of the process
// whose end is the reason, nil for an order from outside.
func (d *daemon) stopAll(code *int, timeout time.Duration) {
	deadline := time.Now().Add(timeout)
	if d.takingUp() {
		d.host.After(takingPause, func() { d.stopAll(code, timeout) })
		return
	}
	if d.stop != nil {
		if deadline.Before(d.stop.deadline) {
			d.stop.until(deadline)
		}
		return
	}
	d.stop = &stopping{d: d, code: code, told: make(map[int]bool)}
	d.onSweep = d.stop.swept
	d.notify.stop()
	d.stop.until(deadline)
	d.stop.remind()
	if d.scan.timer != nil {
		d.scan.timer.Stop()
	}
	d.watch.close()
	if d.command != nil {
		d.command.end()
	}
	d.stop.check()
}

// takingPause is how long an order to stop waits before it looks again whether all services are taken up, and
// takingPatience how long it does so at most after the daemon has begun: a file system may hang.
const (
	takingPause    = 10 * time.Millisecond
	takingPatience = 5 * time.Second
)

// takingUp tells whether services that an earlier upkeep has left running are still to be found. Ended now, they
// would be left for good.
func (d *daemon) takingUp() bool {
	if !d.host.Crashed || d.alone || d.stop != nil || d.scan.missing || time.Since(d.since) > takingPatience && !d.host.Census.Settling() {
		return false
	}
	if d.preparing > 0 || d.register.asked > 0 {
		return true
	}
	for _, e := range d.entries {
		if slices.ContainsFunc(e.supervisors(), func(s *supervisor.Supervisor) bool { return !s.Taken() }) {
			return true
		}
	}
	return false
}

// until sets the deadline. Services are killed a little before it, so that their loggers can still read
// what they have said.
func (s *stopping) until(deadline time.Time) {
	s.deadline = deadline
	left := time.Until(deadline)
	ahead := min(time.Second, left/4)
	at := func(after time.Duration, f func()) {
		s.d.host.After(after, func() {
			if s.deadline == deadline {
				f()
			}
		})
	}
	at(left-ahead, s.killServices)
	at(left, s.killAll)
	at(left+killPatience, s.finish) // what even KILL cannot end
}

// killPatience is how long what is killed may take to end, which is some time on a busy machine.
const killPatience = 5 * time.Second

func (s *stopping) finish() {
	code := exitOK
	if s.code != nil {
		code = *s.code
	}
	s.d.finish(code)
}

func (s *stopping) killServices() {
	s.halt(true)
	if s.d.command != nil {
		s.d.command.signal(unix.SIGKILL)
	}
	for _, e := range s.d.entries {
		if e.main != nil {
			e.main.Kill()
		}
	}
}

func (s *stopping) killAll() {
	s.late = true
	s.killServices()
	for _, e := range s.d.entries {
		if e.log != nil {
			e.log.Kill()
		}
	}
	s.killOrphans()
}

// halt stops the services that no other comes after any more, the last one first.
func (s *stopping) halt(all bool) {
	if s.halted {
		return
	}
	followers := s.d.sequence.followers()
	s.halted = true
	entries := s.d.sorted()
	for i := len(entries) - 1; i >= 0; i-- {
		e := entries[i]
		switch {
		case e.halted:
		case all || len(followers[e.name]) == 0:
			e.halt()
		default:
			s.halted = false
		}
	}
}

// check goes on when services, loggers or the command are gone.
func (s *stopping) check() {
	s.halt(false)
	if s.d.command != nil && s.d.command.running {
		return
	}
	loggers := false
	for _, e := range s.d.entries {
		if e.main != nil {
			return
		}
		loggers = loggers || e.log != nil
	}
	// What a service left behind may still hold the pipe that its logger drains.
	s.termOrphans()
	if loggers {
		return
	}
	if !s.last {
		s.last = true
		s.endNamespace(unix.SIGTERM)
	}
	s.swept(s.d.host.Reaper.Sweep())
	s.d.mail.rouse() // to the ends that it has found
}

// swept goes on when a process has been reaped; left tells whether there are more.
func (s *stopping) swept(left bool) {
	switch {
	case !left && (s.last || s.late):
		s.finish()
	case s.late:
		s.killOrphans()
	case s.last:
		s.termOrphans() // the orphans of orphans
	}
}

// remindTime is how often what services left behind is told to end: a process that was about to execute
// another program may have lost a TERM.
const remindTime = time.Second

func (s *stopping) remind() {
	s.d.host.After(remindTime, func() {
		clear(s.told)
		s.check()
		s.remind()
	})
}

// forkTime is how long a child usually takes from its fork until it is known as ours.
const forkTime = 20 * time.Millisecond

func (s *stopping) termOrphans() {
	pids, sure := s.d.host.Reaper.SignalOrphans(unix.SIGTERM, s.told)
	for _, pid := range pids {
		s.told[pid] = true
	}
	if !sure && !s.looking {
		s.looking = true
		s.d.host.After(forkTime, func() {
			s.looking = false
			s.check()
		})
	}
	s.d.host.Reaper.SignalOrphans(unix.SIGCONT, nil)
}

func (s *stopping) killOrphans() {
	s.d.host.Reaper.SignalOrphans(unix.SIGKILL, nil)
	s.endNamespace(unix.SIGKILL)
}

// endNamespace signals every process there is, as only PID 1 may, and only as its last step.
func (s *stopping) endNamespace(sig unix.Signal) {
	if os.Getpid() == 1 {
		unix.Kill(-1, sig)
		unix.Kill(-1, unix.SIGCONT)
	}
}
