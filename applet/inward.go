package applet

import (
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// inward changes what softlimit is to do where that is to run another of our commands under a limit on memory,
// or on processes: the runtime reserves more, before a command begins, than such limits are made for. Of
// "softlimit -m N setuidgid A prog" it makes "setuidgid A softlimit -m N prog". A command that does not become
// another program goes without the limit; it is made to get along with little.
func inward(argv, env []string, changes []limitChange) ([]string, []limitChange) {
	if !slices.ContainsFunc(changes, limitChange.unbearable) || slices.ContainsFunc(changes, limitChange.isWrong) || !isOurs(argv[0], env) {
		return argv, changes
	}
	var options []string
	for _, l := range changes {
		options = append(options, l.option(), l.value)
	}
	name, rest := filepath.Base(argv[0]), argv[1:]
	if _, ok := lookup(name); !ok && len(rest) > 0 {
		name, rest = rest[0], rest[1:]
	}
	if name != "softlimit" {
		options = append([]string{"/proc/self/exe", "softlimit"}, options...)
	}
	if child, ok := childOf(name, rest); ok {
		argv = slices.Concat(argv[:len(argv)-len(child)], options, child)
	}
	return argv, slices.DeleteFunc(slices.Clone(changes), func(l limitChange) bool {
		// The stack is a part of -m. To have no limit takes privileges that the next command may give up.
		return (l.unbearable() || l.resource == unix.RLIMIT_STACK) && l.value != "-"
	})
}

// isOurs tells whether the program that would be run is this one, by whatever name.
func isOurs(name string, env []string) bool {
	self, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	for _, path := range programPaths(name, env) {
		is, err := os.Stat(path)
		if err == nil && is.Mode().IsRegular() && unix.Access(path, unix.X_OK) == nil {
			return os.SameFile(is, self)
		}
	}
	return false
}

// childOf returns the command line that a chain-loading command with the arguments args goes on with. What
// it returns of softlimit is all of its arguments, for limits to be put before them.
func childOf(name string, args []string) (child []string, ok bool) {
	var letters string // of its options
	operands := 1
	switch name {
	case "envdir", "envini":
		letters = "p:"
	case "setuidgid":
		letters = "s"
	case "setlock":
		letters = "nNxX"
	case "envuidgid", "setuser":
	case "fghack", "pgrphack":
		operands = 0
	case "softlimit":
		return args, true
	default:
		return nil, false
	}
	if letters != "" {
		g := &getopt{letters: letters, args: args, stderr: io.Discard}
		for letter, _, more := g.next(); more; letter, _, more = g.next() {
			if letter == badOption {
				return nil, false
			}
		}
		args = g.args
	}
	if len(args) <= operands {
		return nil, false
	}
	return args[operands:], true
}
