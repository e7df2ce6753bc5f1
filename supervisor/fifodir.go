package supervisor

import "upkeep/fsstate"

// tell tells s6's listeners of events, after the status that shows them.
func (s *Supervisor) tell(events ...fsstate.Event) {
	if !s.def.Event {
		return
	}
	if s.state.Phase == Starting { // whose status comes with the start
		s.writeStatus(true)
	}
	s.lane.Do(func() { s.record.tell(s, events...) })
}

func (r *record) tell(s *Supervisor, events ...fsstate.Event) {
	var err error
	if at := r.dir.Locate(); r.fifodir == "" || at != r.told {
		r.told = at
		r.fifodir, err = r.dir.MakeFifodir()
	}
	if err == nil {
		err = r.fifodir.Tell(events...)
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != r.untold {
		s.postLater(func() { s.host.Warn(s.Name, "%s; s6's programs are not told what becomes of it", text) })
	}
	r.untold = text
}
