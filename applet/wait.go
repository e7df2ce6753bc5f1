package applet

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"upkeep/fsstate"
)

const waitUsage = "wait: usage: upkeep wait [-u|-U|-d|-D] [-a|-o] [-t time] dir [dir ...]"

// Exit codes of wait, as s6-svwait has them.
const (
	exitFailed  = 1  // a service has failed for good
	exitTimeout = 99 // the time is over
)

// wait waits until services are up (-u), ready (-U), down (-d), or down with what runs after run at its
// end, too (-D): all of them, or with -o one of them. It never polls where changes can be noticed.
func wait(c *call) int {
	w, ok := parseWait(c)
	if !ok {
		return c.usage(waitUsage)
	}
	var deadline time.Time
	if w.limit > 0 {
		deadline = time.Now().Add(w.limit)
	}
	watch, err := fsstate.NewWatch()
	if err != nil {
		return c.fatal("wait", "unable to watch", err)
	}
	defer watch.Close()
	for {
		if code := w.look(watch); code >= 0 {
			return code
		}
		more, err := watch.Wait(deadline)
		if err != nil {
			return c.fatal("wait", "unable to watch", err)
		}
		if !more {
			c.say("wait: fatal: timed out: " + w.pending())
			return exitTimeout
		}
	}
}

// A waiting is one call of wait.
type waiting struct {
	c     *call
	until byte // the letter of the option
	any   bool
	limit time.Duration // 0 is none
	list  []*awaited
}

// An awaited is one of the services that are waited for.
type awaited struct {
	dir        string
	super      string // its supervise directory
	looked     bool   // once
	supervised bool
	since      fsstate.Status // as first seen
	unready    bool           // it does not say when it is ready
	state      string         // as last seen, in a word
	met        bool
}

func parseWait(c *call) (*waiting, bool) {
	w := &waiting{c: c, until: 'u'}
	g := &getopt{prog: c.argv0, letters: "uUdDaot:", args: c.args, stderr: c.stderr}
	for {
		letter, value, more := g.next()
		switch {
		case !more:
			for _, dir := range g.args {
				w.list = append(w.list, &awaited{dir: dir})
			}
			return w, len(w.list) > 0
		case letter == 'a', letter == 'o':
			w.any = letter == 'o'
		case letter == 't':
			limit, err := parseLimit(value)
			if err != nil {
				c.say("wait: fatal: " + err.Error())
				return w, false
			}
			w.limit = limit
		case letter == badOption:
			return w, false
		default:
			w.until = letter
		}
	}
}

// parseLimit reads a number of milliseconds, as s6-svwait takes it, or a time with its units.
func parseLimit(text string) (time.Duration, error) {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(n) * time.Millisecond, nil
	}
	limit, err := time.ParseDuration(text)
	if err != nil || limit < 0 {
		return 0, fmt.Errorf("%q is no time", text)
	}
	return limit, nil
}

// look looks at every service that is still waited for, and returns the exit code, or -1 if the waiting
// goes on.
func (w *waiting) look(watch *fsstate.Watch) int {
	code := -1
	left := w.c.inEach("wait", w.dirs(), func(dir string, chdir error) {
		for _, a := range w.list {
			if a.dir == dir && !a.met && code < 0 {
				code = w.lookHere(watch, a, chdir)
			}
		}
	})
	if left != exitOK {
		return left
	}
	met := func(a *awaited) bool { return a.met }
	switch {
	case code >= 0:
		return code
	case w.any && slices.ContainsFunc(w.list, met),
		!slices.ContainsFunc(w.list, func(a *awaited) bool { return !a.met }):
		return exitOK
	}
	return -1
}

func (w *waiting) dirs() (dirs []string) {
	for _, a := range w.list {
		if !a.met && !slices.Contains(dirs, a.dir) {
			dirs = append(dirs, a.dir)
		}
	}
	return dirs
}

// lookHere looks at the service that is the working directory, and returns the exit code if that ends
// everything, or -1.
func (w *waiting) lookHere(watch *fsstate.Watch, a *awaited, chdir error) int {
	if chdir != nil {
		return w.c.fatal("wait", "unable to chdir to "+a.dir, chdir)
	}
	if !a.looked {
		if err := w.begin(a); err != nil {
			return w.c.fatal("wait", "unable to setup control path for "+a.dir, err)
		}
	}
	for {
		before := a.supervised
		if err := watch.Add(a.super, before); err != nil {
			return w.c.fatal("wait", "unable to watch "+a.dir, err)
		}
		s := observe(a.dir, nil).settled()
		if s.supervised == nil {
			w.c.say("wait: fatal: " + a.dir + ": " + s.unreadable)
			return exitTemporary
		}
		a.supervised = *s.supervised
		if a.supervised != before { // what is watched depends on it
			continue
		}
		return w.judge(a, s)
	}
}

func (w *waiting) begin(a *awaited) error {
	cwd, err := syscall.Getwd()
	if err != nil {
		return err
	}
	a.super = fsstate.SuperviseDir(os.Getenv, cwd)
	if w.until == 'U' {
		d, _ := fsstate.Read(".")
		if a.unready = d.NotificationFD == 0 && !d.NotifySocket; a.unready {
			w.c.say("wait: warning: " + a.dir + " does not say when it is ready; waiting until it is up")
		}
	}
	return nil
}

// judge decides by what was seen of a service.
func (w *waiting) judge(a *awaited, s *service) int {
	if !a.supervised {
		a.state = "not supervised"
		a.met = (w.until == 'd' || w.until == 'D') && !leftRunning(a.super)
		a.looked = true
		return -1
	}
	if s.unreadable != "" { // such as a status that is only being written
		a.state = s.unreadable
		return -1
	}
	phase := s.phase(s.main)
	a.state = phase
	a.met = w.holds(a, s.main.Pid != 0, phase)
	failed := phase == "failed" && (w.until == 'u' || w.until == 'U')
	if !a.looked {
		a.looked, a.since = true, s.main.Status
	} else if failed && s.main.Since != a.since.Since { // and not before the wait began
		w.c.say("wait: fatal: " + a.dir + " has failed for good")
		return exitFailed
	}
	return -1
}

// holds tells whether what is waited for is so, of a service with or without a process.
func (w *waiting) holds(a *awaited, process bool, phase string) bool {
	ended := phase == "finishing" || phase == "clearing" // what has a process then is not run
	up := phase == "started" || process && !ended && phase != "starting"
	switch w.until {
	case 'u':
		return up
	case 'U':
		return up && (a.unready || phase == "ready")
	case 'd':
		return !up && (!process || ended)
	}
	return !up && !process && !ended
}

// leftRunning tells whether a process that nobody supervises any more still runs.
func leftRunning(super string) bool {
	pid, _ := fsstate.Trigger(super + "/status").Check()
	return pid != 0
}

// pending says how those are that are still waited for.
func (w *waiting) pending() string {
	var list []string
	for _, a := range w.list {
		if !a.met {
			list = append(list, a.dir+" is "+a.state)
		}
	}
	return strings.Join(list, ", ")
}
