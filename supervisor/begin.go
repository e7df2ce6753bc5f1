package supervisor

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/reaper"
	"upkeep/tai64"
)

// Begin takes the directory up and starts the service unless it is to be down.
func (s *Supervisor) Begin() {
	s.since, s.due = tai64.Now(), reaper.Tick()
	path, super, pipe, launch := s.Path, s.Super, s.Pipe, s.launcher()
	s.lane.Do(func() {
		def, bad := s.read(path)
		dir, err := fsstate.TakeHeld(path, super, nil, s.host.Held)
		if errors.Is(err, unix.ENOENT) && s.host.Crashed && s.Real != "" {
			def, bad = s.read(s.Real)
			dir, err = fsstate.TakeHeld(s.Real, super, nil, s.host.Held)
		}
		if dir == nil {
			s.postLater(func() { s.events.Refused(err) })
			return
		}
		s.record = record{dir: dir, group: s.Group}
		before, released := s.remember(dir, def)
		if before != nil && def.Dialect == fsstate.S6 {
			before.deaths = dir.ReadTally(def.MaxDeathTally)
		}
		starting := before == nil && !def.Down && !s.ending.Load()
		if err == nil && before == nil {
			err = dir.Complete(s.first(def, released))
		}
		dir.Settle()
		if s.Watch != nil {
			s.Watch()
		}
		control := dir.Control()
		s.postLater(func() { s.taken(def, bad, control, starting, before) })
		s.record.report(s, err)
		if starting && s.preliminary(def) {
			return // which taken sees to
		}
		if starting { // while the next directory is taken up
			s.record.makeTree()
			quick := !def.Remote && (pipe == nil || pipe.Named()) && !tellsReadiness(&def)
			s.doStart(quick, func() { launch(dir.Path(), def, quick, nil) })
		}
	})
}

// preliminary tells whether something comes before run.
func (s *Supervisor) preliminary(def fsstate.Definition) bool {
	return def.Trigger != "" || len(def.After) > 0 && s.Order != nil || strings.Contains(def.Control, "u") || def.Start
}

// first is the status of a service that was just taken up, and what is said beside it before it is
// started, which may take for ever, or where it was said that it is released.
func (s *Supervisor) first(def fsstate.Definition, released bool) (status, info []byte) {
	st := fsstate.Status{Since: s.since, Want: fsstate.WantUp}
	format := def.Format(s.host.Format)
	if def.Down {
		st.Want = fsstate.WantDown
	} else if def.Remote || released {
		info = fsstate.Info{Format: format, Phase: Starting.String(), World: s.host.World, After: reaper.Tick(), Notice: noticeOf(def)}.Append(nil)
	}
	return st.Append(nil, format), info
}

// taken says that the directory is supervised, and whether run is being executed already.
func (s *Supervisor) taken(def fsstate.Definition, bad error, control int, starting bool, before *past) {
	s.definition(def, bad)
	s.begun = true
	s.started = time.Now()
	s.takenUp = s.started
	switch {
	case before != nil:
		s.resume(*before)
	default:
		s.state = Initial(!starting)
		if !starting {
			s.writeStatus(true)
		}
	}
	switch {
	case before != nil:
		s.deaths = before.deaths
	case def.Dialect == fsstate.S6:
		s.writeTally(nil)
	}
	s.tell(fsstate.EventTaken)
	if s.events.Taken != nil {
		s.events.Taken()
	}
	if starting && s.preliminary(def) {
		s.start()
	}
	s.listen(control)
	switch {
	case s.ending.Load():
		s.Letters("dx")
	case !s.state.busy():
		s.replay() // the letters that came before there was a state
	}
}

// listen begins to read control, once there is one.
func (s *Supervisor) listen(control int) {
	if control < 0 || s.control >= 0 || s.state.Phase == Gone {
		return
	}
	err := s.host.Controls.Add(control, func(batch []byte) {
		if letters := string(known(batch)); letters != "" {
			s.post(func() { s.Letters(letters) })
		}
	})
	if err != nil {
		s.host.Warn(s.Name, "cannot listen to supervise/control: %v; letters are not heard", err)
		return
	}
	s.control = control
}

// definition takes over what the service directory asks for now.
func (s *Supervisor) definition(def fsstate.Definition, bad error) {
	s.def = def
	text := ""
	if bad != nil {
		text = bad.Error()
	}
	if text != "" && text != s.badFiles {
		s.host.Warn(s.Name, "%s", text)
	}
	s.badFiles = text
}

// read reads the Definition. That a file's value is not usable is the service's affair, not its log program's.
func (s *Supervisor) read(path string) (fsstate.Definition, error) {
	def, bad := fsstate.Read(path)
	if s.LogProgram {
		return def.OfLog(), nil
	}
	return def, bad
}
