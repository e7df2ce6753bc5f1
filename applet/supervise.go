package applet

import (
	"errors"
	"path/filepath"
	"syscall"
	"time"

	"upkeep/daemon"
	"upkeep/fsstate"
)

// supervise supervises one service directory, as daemontools' command of that name does.
func supervise(c *call) int {
	if len(c.args) != 1 {
		return c.usage("supervise: usage: supervise dir")
	}
	dir := c.args[0]
	code, err := daemon.Supervise(daemon.Config{
		Program: "supervise", Root: dir, StopTimeout: 9 * time.Second, StartError: startError,
	})
	var errno syscall.Errno
	switch reason := refusalErrno(err); {
	case err == nil:
	case errors.As(reason, &errno):
		c.fatal("supervise", superviseFailure(dir, err), reason)
	default: // what the original does not meet
		c.say("supervise: fatal: " + err.Error())
	}
	return code
}

// superviseFailure is the original's text for why dir could not be taken up.
func superviseFailure(dir string, err error) string {
	var op *fsstate.OpError
	if !errors.As(err, &op) {
		return "unable to supervise " + dir
	}
	file := filepath.Join("supervise", filepath.Base(op.Path))
	switch filepath.Base(op.Path) {
	case "lock":
		return "unable to acquire " + dir + "/" + file
	case "control", "ok":
		return "unable to read " + dir + "/" + file
	case "supervise":
		// The original does not notice that it cannot make the directory until it needs it.
		return "unable to acquire " + dir + "/supervise/lock"
	}
	return "unable to chdir to " + dir
}

// refusalErrno is the errno that the original meets in the place of err.
func refusalErrno(err error) error {
	if errors.Is(err, fsstate.ErrLocked) {
		return syscall.EAGAIN
	}
	return err
}
