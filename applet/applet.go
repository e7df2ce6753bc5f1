// Package applet holds the commands of upkeep, one file each: argument parsing, messages and exit
// codes. What a command does lives in the packages below.
package applet

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"upkeep/daemon"
	"upkeep/reaper"
)

// Exit codes of the whole family.
const (
	exitOK        = 0
	exitPermanent = 100 // wrong usage, and "no" of the commands that answer yes or no
	exitTemporary = 111 // a system error
)

// A call is one invocation of a command.
type call struct {
	argv0  string   // the name it was called by, as a diagnostic of getopt shows it
	args   []string // what follows the name
	stdin  *os.File
	stdout *os.File
	stderr io.Writer
}

// lookup finds a command by the name of its link.
func lookup(name string) (run func(*call) int, ok bool) {
	switch name {
	case "check":
		return check, true
	case "ctl":
		return ctl, true
	case "envdir":
		return envdir, true
	case "envini":
		return envini, true
	case "envuidgid":
		return envuidgid, true
	case "fghack":
		return fghack, true
	case "help":
		return help, true
	case "install":
		return install, true
	case "multilog":
		return multilog, true
	case "pgrphack":
		return pgrphack, true
	case "readproctitle":
		return readproctitle, true
	case "setlock":
		return setlock, true
	case "setuidgid":
		return setuidgid, true
	case "setuser":
		return setuser, true
	case "softlimit":
		return softlimit, true
	case "supervise":
		return supervise, true
	case "svc":
		return svc, true
	case "svok":
		return svok, true
	case "svscan":
		return svscan, true
	case "svscanboot":
		return svscanboot, true
	case "svstat":
		return svstat, true
	case "svup":
		return svup, true
	case "tai64n":
		return tai64n, true
	case "tai64nfrac":
		return tai64nfrac, true
	case "tai64nlocal":
		return tai64nlocal, true
	case "wait":
		return wait, true
	default:
		return nil, false
	}
}

// Main runs the command that the base name of args[0] names, or, called by any other name, the one
// that args[1] names, or else the daemon. It returns the exit code.
func Main(args []string) int {
	if len(args) > 0 && reaper.IsTrampoline(args[0]) {
		reaper.Trampoline(args[1:])
		return exitTemporary
	}
	if len(args) > 0 && args[0] == daemon.ProbeName {
		fmt.Println(daemon.Handovers)
		return exitOK
	}
	if len(args) == 0 { // execve allows it
		args = []string{"upkeep"}
	}
	c := &call{argv0: filepath.Base(args[0]), args: args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	if run, ok := lookup(c.argv0); ok {
		return run(c)
	}
	if len(c.args) > 0 {
		if run, ok := lookup(c.args[0]); ok {
			c.argv0, c.args = c.args[0], c.args[1:]
			return run(c)
		}
	}
	return upkeep(c)
}
