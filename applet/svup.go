package applet

import (
	"syscall"

	"upkeep/fsstate"
)

// svup tells by its exit code whether a service is up: 0 or 100, and 111 where it can't tell. The
// service's log process, where the status has one, must be up too; -l asks for the service alone, -L
// for the log process alone. A service of runit's that has a script check must pass that, too.
func svup(c *call) int {
	which, dirs, ok := logOptions(c)
	if !ok || len(dirs) == 0 {
		return c.usage("svup: usage: svup [-L] [-l] dir")
	}
	dir := dirs[0]
	if err := syscall.Chdir(dir); err != nil {
		return c.fatal("svup", "unable to chdir to "+dir, err)
	}
	name, err := superviseName()
	if err != nil {
		return c.fatal("svup", "unable to setup control path for "+dir, err)
	}
	switch err := hasReader(name + "/ok"); err {
	case nil:
	case syscall.ENOENT, syscall.ENXIO:
		return exitPermanent
	default:
		return c.fatal("svup", "unable to open "+name+"/ok", err)
	}
	file, opened, err := readOnce(name+"/status", fsstate.StatusFileSize)
	switch {
	case !opened && err == syscall.ENOENT:
		return exitPermanent
	case !opened:
		return c.fatal("svup", "unable to open "+name+"/status", err)
	case err != nil:
		return c.fatal("svup", "unable to read "+name+"/status", err)
	}
	status, err := fsstate.ParseStatus(file)
	if err != nil {
		c.say("svup: fatal: bad data in " + name + "/status: truncated file")
		return exitTemporary
	}
	if which != logOnly && !isUp(status) {
		return exitPermanent
	}
	if which != mainOnly {
		log, err := fsstate.ParseStatus(fsstate.LogBlock(file))
		if err == nil && !isUp(log) || err != nil && which == logOnly {
			return exitPermanent
		}
	}
	if d, _ := fsstate.Read("."); d.Check && which != logOnly {
		passed, err := passes("./check")
		if err != nil {
			return c.fatal("svup", "unable to run check", err)
		}
		if !passed {
			return exitPermanent
		}
	}
	return exitOK
}

// passes runs a script, of which nobody reads the output, and tells whether it exits with 0.
func passes(script string) (bool, error) {
	null, err := syscall.Open("/dev/null", syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer syscall.Close(null)
	pid, err := syscall.ForkExec(script, []string{script}, &syscall.ProcAttr{
		Env: environ(), Files: []uintptr{0, uintptr(null), 2},
	})
	if err != nil {
		return false, err
	}
	for {
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			return err == nil && status.Exited() && status.ExitStatus() == 0, err
		}
	}
}

// isUp is daemontools-encore's test. A runit status never has its two states in byte 18.
func isUp(s fsstate.Status) bool {
	return s.Pid != 0 || s.State == fsstate.EncoreStarted || s.State == fsstate.EncoreRunning
}

// Which of a service's two processes svstat and svup look at, where a status has two.
type logChoice byte

const (
	mainAndLog logChoice = iota
	mainOnly             // -l
	logOnly              // -L
)

// logOptions parses the options of svstat and svup. The last of -L and -l wins.
func logOptions(c *call) (which logChoice, operands []string, ok bool) {
	g := &getopt{prog: c.argv0, letters: "lL", args: c.args, stderr: c.stderr}
	for {
		letter, _, more := g.next()
		switch {
		case !more:
			return which, g.args, true
		case letter == 'l':
			which = mainOnly
		case letter == 'L':
			which = logOnly
		default:
			return which, nil, false
		}
	}
}
