package supervisor

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/reaper"
)

// runit's control/LETTER is executed for a letter before its signal is sent, and in place of it if it ends with
// exit code 0. Nobody waits for it but the letters that follow, of which k ends it.

// A script is one that runs or is being executed.
type script struct {
	s      *Supervisor
	done   func(unix.WaitStatus)
	pid    int  // 0 until it is known
	killed bool // it is to end
}

func (c *script) Started(pid int) {
	c.s.postLater(func() {
		if c.pid = pid; c.killed {
			c.kill()
		}
	})
}

func (c *script) kill() {
	if c.killed = true; c.pid != 0 {
		c.s.host.Reaper.Signal(c.pid, unix.SIGKILL, false)
	}
}

func (c *script) Exited(e reaper.Exit) {
	c.s.host.PostEnd(
		func() bool { return false },
		func() {
			defer c.s.isolate()
			if c.ended(); c.s.state.Phase == Gone {
				return
			}
			if e.Launch != nil {
				e.Status = unseen
			}
			c.done(e.Status)
		},
	)
}

func (c *script) ended() {
	c.s.scripting = slices.DeleteFunc(c.s.scripting, func(other *script) bool { return other == c })
}

// killScripts ends the scripts that run, and tells whether there were any.
func (s *Supervisor) killScripts() bool {
	for _, c := range s.scripting {
		c.kill()
	}
	return len(s.scripting) > 0
}

// scripts are the letters with a script. Those of a logger do not count, as with runit, and none does when
// everything is killed.
func (s *Supervisor) scripts() string {
	if s.Logger || s.killed || s.def.Dialect != fsstate.Runit {
		return ""
	}
	return s.def.Control
}

// runScripts executes the scripts of an Action, one after another, and reports Scripted for its letter. It is the
// first one that decides about the signal. One that was killed is the last.
func (s *Supervisor) runScripts(a Action) {
	first := a.Scripts[0]
	s.execScript(first, func(status unix.WaitStatus) {
		done := func(unix.WaitStatus) {
			instead := status == 0 && first == signalScript(a.Letter)
			s.event(Event{Kind: Scripted, Letter: a.Letter, Group: a.Group, Instead: instead})
		}
		if rest := a.Scripts[1:]; rest != "" && status.Signal() != unix.SIGKILL {
			s.execScript(rest[0], done)
		} else {
			done(status)
		}
	})
}

// execScript executes one script with what run has, and calls done on the Host's goroutine when it has ended.
func (s *Supervisor) execScript(letter byte, done func(unix.WaitStatus)) {
	def, pipe, logger := s.def, s.Pipe, s.Logger
	stdin, stdout := s.Stdin, s.Stdout
	c := &script{s: s, done: done}
	s.scripting = append(s.scripting, c)
	s.lane.DoStart(func() {
		spec := s.spec(s.record.dir.Locate(), def, stdin, stdout)
		spec.Path = "control/" + string(letter)
		spec.Args = []string{spec.Path}
		err := s.record.besides(s, &spec)
		if err == nil {
			err = s.execute(spec, pipe, logger, c)
		}
		if err != nil {
			s.postLater(func() {
				if c.ended(); err != unix.ENOENT {
					s.host.Warn(s.Name, "cannot start %s: %v; it goes on without", spec.Path, err)
				}
				done(unseen)
			})
		}
	})
}

// signalScript is the letter of the script that decides about the signal of a letter.
func signalScript(letter byte) byte {
	if letter == 'd' || letter == 'x' {
		return 't'
	}
	return letter
}

// asks are the scripts among those that there are which a letter asks for, in their order.
func asks(letter byte, scripts string) (names string) {
	if scripts == "" || letter == 'u' || letter == 'o' { // whose script is the start's
		return ""
	}
	for _, l := range []byte{signalScript(letter), letter} {
		if strings.IndexByte(scripts, l) >= 0 && strings.IndexByte(names, l) < 0 {
			names += string(l)
		}
	}
	return names
}
