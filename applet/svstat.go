package applet

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/tai64"
)

// svstat says how services are. Without a long option the output is the family's, byte for byte:
// daemontools' line, and daemontools-encore's words where the status file is encore's. --json writes
// what docs/svstat.md describes for programs, --long the same for people.
//
// What keeps a service's state from being read is printed in its place, and the exit code is 0.
func svstat(c *call) int {
	asJSON, long := c.takeOption("--json"), c.takeOption("--long")
	which, dirs, ok := logOptions(c)
	if !ok || len(dirs) == 0 {
		return c.usage("svstat: usage: svstat [-L] [-l] dir [dir ...]")
	}
	out := bufio.NewWriter(c.stdout)
	var all []*serviceJSON
	code := c.inEach("svstat", dirs, func(dir string, err error) {
		s := observe(dir, err)
		switch {
		case asJSON:
			all = append(all, s.inDetail().json())
		case long:
			s.inDetail().writeLong(out)
		default:
			s.writeFamily(out, which)
		}
	})
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		enc.Encode(all)
	}
	if err := out.Flush(); err != nil && (asJSON || long) {
		return c.fatal("svstat", "unable to write the output", err)
	}
	return code
}

// takeOption tells whether a long option is among the options, and takes it out. Operands start where
// getopt lets them start.
func (c *call) takeOption(long string) (found bool) {
	var rest []string
	for i, word := range c.args {
		if !strings.HasPrefix(word, "-") || word == "-" || word == "--" {
			rest = append(rest, c.args[i:]...)
			break
		}
		if word == long {
			found = true
		} else {
			rest = append(rest, word)
		}
	}
	c.args = rest
	return found
}

// A service is what there is to see of a service directory.
type service struct {
	dir        string
	unreadable string // why there is no status, as the family says it
	supervised *bool  // nil if that can't be told
	down       *bool  // whether there is a file down; nil if that can't be told

	main   process
	log    *process      // encore's log process, whose status is in the same file
	resume *fsstate.Info // what upkeep says beside the status

	now    tai64.Label // when the status was read
	logDir *service    // NAME/log, where it is a service directory
}

// A process is one block of a status file.
type process struct {
	fsstate.Status
	encore bool // State is meant, not GotTerm and Phase
}

// observe looks at what the family's clients look at, in their order: down, ok, status. The service
// directory is the working directory, or chdir is the reason why it is not.
func observe(dir string, chdir error) *service {
	s := &service{dir: dir}
	if chdir != nil {
		s.unreadable = "unable to chdir: " + errText(chdir)
		return s
	}
	name, err := superviseName()
	if err != nil {
		s.unreadable = "unable to set up control path: " + errText(err)
		return s
	}
	var st syscall.Stat_t
	err = syscall.Stat("down", &st)
	if err != nil && err != syscall.ENOENT {
		s.unreadable = "unable to stat down: " + errText(err)
		return s
	}
	s.down = new(err == nil)

	err = hasReader(name + "/ok")
	if err == nil || err == syscall.ENXIO || err == syscall.ENOENT {
		s.supervised = new(err == nil)
	}
	switch err {
	case nil:
		s.readStatus(name)
	case syscall.ENXIO:
		s.unreadable = "supervise not running"
	default:
		s.unreadable = "unable to open " + name + "/ok: " + errText(err)
	}
	return s
}

// resumeMax is more than upkeep writes to supervise/resume.
const resumeMax = 64 << 10

func (s *service) readStatus(name string) {
	file, opened, err := readOnce(name+"/status", fsstate.StatusFileSize)
	if !opened {
		s.unreadable = "unable to open " + name + "/status: " + errText(err)
		return
	}
	if err != nil {
		s.unreadable = "unable to read " + name + "/status: " + errText(err)
		return
	}
	if s.main.Status, err = fsstate.ParseStatus(file); err != nil {
		s.unreadable = "unable to read " + name + "/status: " + err.Error()
		return
	}
	s.now = now()
	if line, _, err := readOnce(name+"/resume", resumeMax); err == nil {
		if info, err := fsstate.ParseInfo(line); err == nil {
			s.resume = &info
		}
	}
	var st syscall.Stat_t
	if !fsstate.IsEncore(file, s.resume, syscall.Stat(name+"/stat", &st) == nil) {
		return
	}
	s.main.encore = true
	block := fsstate.LogBlock(file)
	if log, err := fsstate.ParseStatus(block); err == nil {
		s.log = &process{log, fsstate.HasState(block)}
	}
}

// info is upkeep's word on the process that the status is about. A resume about another process was
// left behind by an upkeep that is gone, or is older or newer than the status by a moment.
func (s *service) info() *fsstate.Info {
	if s.resume != nil && s.resume.Pid == s.main.Pid {
		return s.resume
	}
	return nil
}

// settled looks again, a few times, while status and resume are not about the same process.
func (s *service) settled() *service {
	for range 5 {
		if s.resume == nil || s.info() != nil {
			break
		}
		time.Sleep(2 * time.Millisecond)
		s = observe(s.dir, nil)
	}
	return s
}

// inDetail adds what the family's output has no place for; the service directory is the working
// directory. That is also NAME/log, where NAME has such a directory.
func (s *service) inDetail() *service {
	s = s.settled()
	var st syscall.Stat_t
	if s.down == nil || syscall.Stat("log", &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return s
	}
	s.logDir = observe(strings.TrimRight(s.dir, "/")+"/log", syscall.Chdir("log")).settled()
	return s
}

// now is the time as time(2) has it, which is what the family's svstat asks. It lags behind the clock
// by up to a tick, so that around the turn of a second the clock would make another line.
func now() tai64.Label {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &ts); err != nil {
		return tai64.Now()
	}
	return tai64.FromTime(time.Unix(ts.Unix()))
}

// elapsed is the family's "S seconds": 0 for a label that lies in the future, and as inexact as a
// double for one that no clock has written.
func elapsed(since, now tai64.Label) uint64 {
	if now.Sec < since.Sec {
		return 0
	}
	return uint64(float64(now.Sec - since.Sec))
}

func (s *service) writeFamily(out io.Writer, which logChoice) {
	if s.unreadable != "" {
		fmt.Fprintf(out, "%s: %s\n", s.dir, s.unreadable)
		return
	}
	if which != logOnly {
		fmt.Fprintf(out, "%s: %s\n", s.dir, s.familyBody(s.main))
	}
	if which == mainOnly {
		return
	}
	if s.log != nil {
		fmt.Fprintf(out, "%s log: %s\n", s.dir, s.familyBody(*s.log))
	} else if which == logOnly {
		fmt.Fprintf(out, "%s: no log service\n", s.dir)
	}
}

func (s *service) familyBody(p process) string {
	body := "down "
	if p.Pid != 0 {
		body = fmt.Sprintf("up (pid %d) ", p.Pid)
	}
	body += fmt.Sprintf("%d seconds", elapsed(p.Since, s.now)) + s.contrasts(p)
	if p.encore {
		if p.Pid != 0 && p.Want == fsstate.WantOnce {
			body += ", once"
		}
		body += ", " + p.State.String()
	}
	return body
}

// contrasts says in what the process is not as it normally is or as it was asked to be.
func (s *service) contrasts(p process) (text string) {
	up := p.Pid != 0
	if up && *s.down {
		text += ", normally down"
	}
	if !up && !*s.down {
		text += ", normally up"
	}
	if up && p.Paused {
		text += ", paused"
	}
	if !up && p.Want == fsstate.WantUp {
		text += ", want up"
	}
	if up && p.Want == fsstate.WantDown {
		text += ", want down"
	}
	return text
}

// phase is upkeep's word for what the service does, where upkeep says it, or else what its
// supervisor's status says.
func (s *service) phase(p process) string {
	switch {
	case s.info() != nil && s.info().Phase != "":
		return s.info().Phase
	case p.encore && p.State == fsstate.EncoreStarting:
		return "starting"
	case p.encore && p.State == fsstate.EncoreStarted:
		return "started"
	case p.encore && p.State == fsstate.EncoreStopping:
		return "stopping"
	case p.encore && p.State == fsstate.EncoreFailed:
		return "failed"
	case !p.encore && p.Phase == fsstate.PhaseFinish, p.encore && p.State == fsstate.EncoreStopped && p.Pid != 0:
		return "finishing"
	case p.Pid != 0:
		return "up"
	}
	return "down"
}

// restarts is how often the service was started again, nil if that is unknown.
func restarts(i *fsstate.Info) *int {
	if i.Starts == nil {
		return nil
	}
	return new(max(*i.Starts-1, 0))
}

func signalName(n int) string {
	if name := unix.SignalName(syscall.Signal(n)); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", n)
}
