package supervisor

import (
	"path/filepath"

	"golang.org/x/sys/unix"

	"upkeep/cgroup"
	"upkeep/fsstate"
	"upkeep/reaper"
	"upkeep/tai64"
)

// tree does something with the service's cgroup, on the lane, and reports what fails once.
func (s *Supervisor) tree(act func(*record) error) {
	s.lane.Do(func() { s.record.reportTree(s, act(&s.record)) })
}

// reportTree says once what does not work with the cgroup.
func (r *record) reportTree(s *Supervisor, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != r.unplaced {
		s.postLater(func() { s.host.Warn(s.Name, "%s; it goes on without that", text) })
	}
	r.unplaced = text
}

// placed makes the cgroup that run is to be born in, with its limits. It returns false, when it has said
// why, if run must not be executed: with a limit that cannot be, or beside what a kill-tree file wants gone.
func (s *Supervisor) placed(spec *reaper.Spec, path string, def fsstate.Definition) bool {
	r := &s.record
	limits := s.limits(path)
	if r.group == nil {
		if s.host.NoGroups == nil {
			return true
		}
		err := cgroup.Unlimited(limits, s.host.NoGroups)
		if err != nil {
			s.host.PostLater(func() { s.startFailed(err, "") })
		}
		return err == nil
	}
	if r.unwatch != nil {
		r.unwatch()
		r.unwatch = nil
	}
	if !r.made {
		r.makeTree()
	}
	err := r.makeErr
	r.made = false
	if err == nil && def.KillTree {
		if alive, _ := r.group.Populated(); alive {
			s.postLater(func() { s.event(Event{Kind: Occupied}) })
			return false
		}
	}
	if err != nil && !s.host.NeedGroups && !isThere(limits) {
		r.reportTree(s, err)
		return true
	}
	if err == nil {
		err = r.group.Limits(limits)
	}
	if err != nil {
		s.postLater(func() { s.startFailed(err, "") })
		return false
	}
	dir, join := r.group.Birth()
	s.host.Reaper.Place(spec, dir, join)
	return true
}

// limits is the directory of the service's limits. They are not the log program's.
func (s *Supervisor) limits(path string) string {
	if s.LogProgram {
		return ""
	}
	return filepath.Join(path, "cgroup")
}

// makeTree makes the cgroup, for the start that follows.
func (r *record) makeTree() {
	if r.group == nil {
		return
	}
	r.made = true
	renewed := r.group.Renew()
	var found bool
	found, r.makeErr = r.group.Make()
	if renewed || found && !r.counted {
		r.count()
	}
	r.counted = true
}

// count learns how often the kernel has killed in the group so far: in an earlier upkeep's time, or the logger.
func (r *record) count() {
	r.oomKills, _ = r.group.OOMKills()
	r.counted = true
}

func isThere(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil
}

func (r *record) limit() error {
	return r.group.Limits(filepath.Join(r.dir.Path(), "cgroup"))
}

// freeze stops what the process has started. The process itself got STOP, so that it starts no more; alone
// it needs nothing else.
func (r *record) freeze() error {
	pids, err := r.group.Pids()
	if err != nil || len(pids) < 2 {
		return err
	}
	return r.group.Freeze(true)
}

func (r *record) thaw() error { return r.group.Freeze(false) }

func (r *record) killTree() error { return r.group.Kill() }

// removeTree leaves nothing behind, unless something lives in it.
func (r *record) removeTree() {
	if r.group != nil {
		r.group.Remove()
	}
}

// clearTree tells what is left in the cgroup to end, and reports when it has.
func (s *Supervisor) clearTree() {
	s.cleared = true
	emptied := func() { s.post(func() { s.event(Event{Kind: Emptied}) }) }
	s.lane.Do(func() {
		r := &s.record
		alive, err := r.group.Populated()
		if alive {
			r.group.Freeze(false)
			err = r.group.Signal(0, unix.SIGTERM, unix.SIGCONT)
		}
		r.reportTree(s, err)
		if r.unwatch != nil {
			r.unwatch()
		}
		if r.unwatch, err = r.group.WhenEmpty(emptied); err != nil { // the daemon itself is about to end
			emptied()
		}
	})
}

// askWhoKilled finds out whether the end at that time was the kernel's doing, for want of memory. Otherwise
// one that was early may mean that nothing can be born in the group.
func (s *Supervisor) askWhoKilled(ended tai64.Label, early bool) {
	s.lane.Do(func() {
		n, err := s.record.group.OOMKills()
		if err != nil || n <= s.record.oomKills {
			if early {
				s.record.group.Doubt()
			}
			return
		}
		s.record.oomKills = n
		s.postLater(func() {
			s.host.Warn(s.Name, "%s", "the kernel has killed it, out of memory")
			if end := s.lastEnd.Ended; end != nil && *end == ended {
				s.lastEnd.OOM = true
				if s.state.Phase != Gone {
					s.writeStatus(true)
				}
			}
		})
	})
}
