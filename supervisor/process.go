package supervisor

import (
	"time"

	"upkeep/reaper"
	"upkeep/tai64"
)

// A process tells the Host's goroutine of the starts and ends that the reaper sees.
type process struct {
	s *Supervisor
	role
	after uint64 // the tick when it was about to be started
}

// ticks are those between which a process was started.
type ticks struct{ after, by uint64 }

// process returns the owner of what is about to be started.
func (s *Supervisor) process(r role) process { return process{s, r, reaper.Tick()} }

// A role is what a process is for.
type role uint8

const (
	runs role = iota
	finishes
	prepares
)

func (p process) Started(pid int) {
	now, by := time.Now(), reaper.Tick()
	p.s.postLater(func() { // by the step that forks
		p.s.born = ticks{p.after, by}
		switch p.role {
		case finishes:
			p.s.onFinishStarted(pid)
		case prepares:
			p.s.onPreludeStarted(pid, now)
		default:
			p.s.onStarted(pid, now)
		}
	})
}

func (p process) Exited(e reaper.Exit) {
	now := time.Now()
	if p.role == prepares {
		p.s.host.PostEnd(
			func() bool { return false },
			func() { defer p.s.isolate(); p.s.onPrepared(e, now) },
		)
		return
	}
	if p.role == finishes {
		p.s.host.PostEnd(
			func() bool { return false },
			func() { defer p.s.isolate(); p.s.onFinished(e, tai64.FromTime(now)) },
		)
		return
	}
	p.s.host.PostEnd(
		func() bool { defer p.s.isolate(); return p.s.restart(e, now) },
		func() { defer p.s.isolate(); p.s.onExited(e, now) },
	)
}
