package applet

import (
	"upkeep/tai64"
)

// serviceJSON is one element of the array that docs/svstat.md describes.
type serviceJSON struct {
	Dir        string        `json:"dir"`
	Supervised *bool         `json:"supervised"`
	Up         *bool         `json:"up"`
	Pid        *int          `json:"pid"`
	Since      *string       `json:"since"`
	Seconds    *uint64       `json:"seconds"`
	Want       *string       `json:"want"`
	Normally   *string       `json:"normally"`
	Paused     *bool         `json:"paused"`
	Phase      *string       `json:"phase"`
	Starts     *int          `json:"starts"`
	Restarts   *int          `json:"restarts"`
	LastExit   *lastExitJSON `json:"last_exit"`
	Cause      *string       `json:"cause"`
	Note       *string       `json:"note"`
	Cgroup     *string       `json:"cgroup"`
	Usage      *usageJSON    `json:"usage"`
	Error      *string       `json:"error"`
	Log        *serviceJSON  `json:"log"`
}

type lastExitJSON struct {
	Code   *int    `json:"code"`
	Signal *int    `json:"signal"`
	Name   *string `json:"name"`
	OOM    bool    `json:"oom"`
	At     *string `json:"at"`
}

func (s *service) json() *serviceJSON {
	j := &serviceJSON{Dir: s.dir, Supervised: s.supervised, Error: some(s.unreadable)}
	if s.down != nil {
		j.Normally = new("up")
		if *s.down {
			j.Normally = new("down")
		}
	}
	if s.unreadable == "" {
		j.setProcess(s, s.main)
	}
	if i := s.info(); i != nil {
		j.Starts, j.Restarts = i.Starts, restarts(i)
		j.Cause, j.Note = some(i.Cause), some(i.Note)
		j.Cgroup, j.Usage = some(i.Cgroup), usageOf(i)
		if i.Code != nil || i.Signal != nil || i.Ended != nil {
			j.LastExit = &lastExitJSON{Code: i.Code, Signal: i.Signal, OOM: i.OOM}
			if i.Signal != nil {
				j.LastExit.Name = new(signalName(*i.Signal))
			}
			if i.Ended != nil {
				j.LastExit.At = timeJSON(*i.Ended)
			}
		}
	}
	switch {
	case s.logDir != nil:
		j.Log = s.logDir.json()
	case s.log != nil:
		j.Log = &serviceJSON{Dir: s.dir, Supervised: j.Supervised, Normally: j.Normally}
		j.Log.setProcess(&service{now: s.now}, *s.log)
	}
	return j
}

func (j *serviceJSON) setProcess(s *service, p process) {
	j.Up = new(p.Pid != 0)
	if p.Pid != 0 {
		j.Pid = &p.Pid
	}
	j.Since = timeJSON(p.Since)
	j.Seconds = new(elapsed(p.Since, s.now))
	j.Want = some(p.Want.String())
	j.Paused = new(p.Pid != 0 && p.Paused)
	j.Phase = new(s.phase(p))
}

// some is s, or nil for nothing.
func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// timeJSON is nil for a time that RFC 3339 has no form for.
func timeJSON(l tai64.Label) *string {
	t := l.Time()
	if t.Year() < 0 || t.Year() > 9999 {
		return nil
	}
	return new(t.Format("2006-01-02T15:04:05.000000000Z07:00"))
}
