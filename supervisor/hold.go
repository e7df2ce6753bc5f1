package supervisor

import (
	"time"

	"upkeep/fsstate"
)

// An Order says what a start waits for beside a trigger: waiting names it, and is "" for nothing. free says that
// the trigger is not to be waited for. It is called on the Host's goroutine.
type Order func(after []string, trigger fsstate.Trigger) (waiting string, free bool)

// order asks what the start waits for.
func (s *Supervisor) order() (waiting string, free bool) {
	if s.Order == nil || len(s.def.After) == 0 && s.def.Trigger == "" {
		return "", false
	}
	return s.Order(s.def.After, s.def.Trigger)
}

// hold puts the start off until Unheld.
func (s *Supervisor) hold(cause string) {
	if s.state.Phase != Starting {
		return
	}
	if s.held == "" {
		s.host.Warn(s.Name, "it waits for %s", cause)
	}
	s.held = cause
	s.event(Event{Kind: Held})
	if s.changed {
		s.lookSoon()
	}
}

// Waits returns what the service directory says that the start waits for.
func (s *Supervisor) Waits() (after []string, trigger fsstate.Trigger) {
	return s.def.After, s.def.Trigger
}

// Arrived tells whether those that wait for this service need wait no longer: it is ready, if it says when it
// is, or else up, be it without a process.
func (s *Supervisor) Arrived() bool {
	return s.state.Phase == Ready || s.state.Phase == Done || s.state.Phase == Up && !tellsReadiness(&s.def)
}

// Reconsider asks again what the start waits for, if it waits.
func (s *Supervisor) Reconsider() {
	if s.state.Phase != Waiting || !s.state.Held || s.considered {
		return
	}
	waiting, free := s.order()
	switch {
	case waiting != "":
		s.stillHeld(waiting)
	case s.def.Trigger == "" || free:
		s.event(Event{Kind: Unheld})
	default:
		s.lookAtTrigger()
	}
}

// stillHeld records what is waited for now.
func (s *Supervisor) stillHeld(cause string) {
	if s.held != cause {
		s.held = cause
		s.writeStatus(true)
	}
}

// triggerPause is the least time between two looks at a trigger, and triggerPoll how often to look where
// changes go unnoticed.
const (
	triggerPause = 20 * time.Millisecond
	triggerPoll  = time.Second
)

// satisfied is triggered for a start, which it puts off. The step may be on a thread with descriptors of its own.
func (s *Supervisor) satisfied(t fsstate.Trigger, quick bool) bool {
	cause := ""
	if quick {
		elsewhere(func() { cause = s.triggered(t) })
	} else {
		cause = s.triggered(t)
	}
	if cause != "" {
		s.postLater(func() { s.hold(cause) })
	}
	return cause == ""
}

// triggered returns, on the lane, why the trigger is not satisfied. Until it is, changes of what it looks at are
// watched.
func (s *Supervisor) triggered(t fsstate.Trigger) (cause string) {
	r := &s.record
	if _, waiting := t.Check(); waiting == "" {
		s.unwatch()
		return ""
	}
	again := func() { s.post(s.lookSoon) }
	for dir, next := "", t.Watch(); dir != next; next = t.Watch() { // until that was watched when it was the one
		s.unwatch()
		var err error
		if r.watching, err = s.host.watches.add(s.host.Controls, next, again); err != nil {
			s.postLater(s.pollTrigger)
			break
		}
		dir = next
	}
	_, waiting := t.Check() // what has changed before it was watched
	if waiting == "" {
		s.unwatch()
		return ""
	}
	return string(t) + ", which " + waiting
}

func (s *Supervisor) unwatch() {
	s.host.watches.drop(s.record.watching)
	s.record.watching = nil
}

// lookSoon looks at the trigger again, but not at each of many changes.
func (s *Supervisor) lookSoon() {
	if s.changed = s.state.Phase == Starting; s.changed { // it may have been looked at just before, and is about to be held
		return
	}
	if s.state.Held && !s.considered {
		s.considered = true
		s.after(triggerPause, func() {
			s.considered = false
			s.Reconsider()
		})
	}
}

func (s *Supervisor) pollTrigger() {
	stop(s.polling)
	s.polling = s.after(triggerPoll, s.Reconsider)
}

// lookAtTrigger starts the service if the trigger is satisfied.
func (s *Supervisor) lookAtTrigger() {
	t := s.def.Trigger
	s.lane.Do(func() {
		cause := s.triggered(t)
		s.postLater(func() {
			switch {
			case cause == "":
				s.event(Event{Kind: Unheld})
			case s.state.Held: // still: a start that was begun meanwhile looks for itself
				s.stillHeld(cause)
			}
		})
	})
}
