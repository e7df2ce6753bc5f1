package applet

import (
	"fmt"
	"io"
	"strings"
)

// A helpEntry is what help says of a command. The manual page says the same at length, and a test holds the
// two together.
type helpEntry struct {
	name    string
	about   string
	usage   string // the command line after the name
	options []helpOption
}

type helpOption struct{ flag, about string }

// commands lists the names that the program can be called by, in the order of help.
func commands() []string {
	var names []string
	for _, e := range helpTable() {
		names = append(names, e.name)
	}
	return names
}

// help writes to standard output how a command is used, or without an argument which commands there are.
func help(c *call) int {
	if len(c.args) > 1 {
		return c.usage("upkeep: usage: upkeep help [NAME]")
	}
	text := helpOverview()
	if len(c.args) == 1 {
		e, ok := findHelp(c.args[0])
		if !ok {
			return c.usage("upkeep: fatal: there is no command " + c.args[0] + "; upkeep help lists them")
		}
		text = e.String()
	}
	return c.show(text)
}

// show answers with text what was asked for.
func (c *call) show(text string) int {
	if _, err := io.WriteString(c.stdout, text); err != nil {
		return c.fatal("upkeep", "unable to write the output", err)
	}
	return exitOK
}

// findHelp finds the entry of a command, among them those that are called as upkeep's first argument only.
func findHelp(name string) (helpEntry, bool) {
	for _, e := range append(helpTable(), subcommands()...) {
		if e.name == name || e.name == "upkeep "+name {
			return e, true
		}
	}
	return helpEntry{}, false
}

func helpOverview() string {
	var b strings.Builder
	for _, e := range append(helpTable(), subcommands()...) {
		fmt.Fprintf(&b, "%-16s %s\n", e.name, e.about)
	}
	return b.String()
}

// String is the short form of the manual page.
func (e helpEntry) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s\n%s: %s\n", strings.TrimSpace(e.name+" "+e.usage), e.name, e.about)
	width := 0
	for _, o := range e.options {
		width = max(width, len(o.flag))
	}
	for _, o := range e.options {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, o.flag, o.about)
	}
	return b.String()
}

// subcommands are no names of the program: a link called install would stand in the way of another one.
func subcommands() []helpEntry {
	return []helpEntry{
		{"upkeep check", "tell what would be done with service directories, and what is wrong",
			"[--json] dir ...", []helpOption{
				{"--json", "for programs"},
			}},
		{"upkeep ctl", "give an order to the daemon of a root, and show its answer",
			"[--state=DIR] status|rescan|upgrade|stop [ROOT]", []helpOption{
				{"--state=DIR", "the daemon's, if it was given one"},
			}},
		{"upkeep help", "list the commands, or show how one is used", "[NAME]", nil},
		{"upkeep install", "make a link for each command in a directory", "DIR", nil},
		{"upkeep wait", "wait until services are up, ready or down",
			"[-u|-U|-d|-D] [-a|-o] [-t time] dir ...", []helpOption{
				{"-u", "until they are up (default)"},
				{"-U", "until they are ready, as far as they say when they are"},
				{"-d", "until they are down"},
				{"-D", "until they are down, and what runs after run has ended, too"},
				{"-a", "until all of them are (default)"},
				{"-o", "until one of them is"},
				{"-t time", "no longer than this: milliseconds, or a time such as 10s"},
			}},
	}
}

// helpTable is the table of all commands that can have a link.
func helpTable() []helpEntry {
	return []helpEntry{
		{"envdir", "run a program with environment variables from a directory",
			"[-p prefix] dir program [arg ...]", []helpOption{
				{"-p prefix", "put prefix before the names of variables"},
			}},
		{"envini", "run a program with environment variables from an ini file",
			"[-p prefix] file program [arg ...]", []helpOption{
				{"-p prefix", "put prefix before the names of variables"},
			}},
		{"envuidgid", "run a program with an account's ids in its environment",
			"account program [arg ...]", nil},
		{"fghack", "wait for a program that goes into the background",
			"program [arg ...]", nil},
		{"multilog", "write lines to rotated log directories",
			"action ...", []helpOption{
				{"t", "put a TAI64N label before each line (first action only)"},
				{"T", "put seconds and microseconds before each line (first action only)"},
				{"-pattern", "deselect lines that match"},
				{"+pattern", "select lines that match"},
				{"F", "patterns that follow are those of fnmatch(3)"},
				{"S", "patterns that follow are simple ones again"},
				{"e", "write selected lines to standard error"},
				{"=file", "keep the last selected line in file"},
				{"ssize", "size of the logs that follow"},
				{"nnumber", "number of files of the logs that follow"},
				{"wcode", "end of the names of finished logs"},
				{"!command", "put finished logs through command"},
				{"./dir /dir", "write selected lines to a log directory"},
			}},
		{"pgrphack", "run a program in a session of its own",
			"program [arg ...]", nil},
		{"readproctitle", "show the last messages in the process list",
			"[label ...] space", nil},
		{"setlock", "run a program with a file locked",
			"[-nNxX] file program [arg ...]", []helpOption{
				{"-n", "do not wait for the lock"},
				{"-N", "wait for the lock (default)"},
				{"-x", "exit with 0, silently, if the file cannot be locked"},
				{"-X", "exit with 111, with a message, if it cannot (default)"},
			}},
		{"setuidgid", "run a program as another account",
			"[-s] account program [arg ...]", []helpOption{
				{"-s", "take the account's supplementary groups, too"},
			}},
		{"setuser", "run a program as another account, with its environment",
			"account program [arg ...]", nil},
		{"softlimit", "run a program with other resource limits",
			"[-a|-c|-d|-f|-l|-m|-o|-p|-r|-s|-t limit ...] program [arg ...]", []helpOption{
				{"-a bytes", "all memory"},
				{"-c bytes", "core file"},
				{"-d bytes", "data segment"},
				{"-f bytes", "written file"},
				{"-l bytes", "locked memory"},
				{"-m bytes", "the same as -a, -d, -l and -s"},
				{"-o number", "open descriptors"},
				{"-p number", "processes of the user"},
				{"-r bytes", "resident memory"},
				{"-s bytes", "stack"},
				{"-t seconds", "processor time"},
			}},
		{"supervise", "supervise one service directory",
			"dir", nil},
		{"svc", "control services",
			"[-udopchaitkxq12wLl+=] dir ...", []helpOption{
				{"-u", "up: start it, and again when it ends"},
				{"-d", "down: TERM and CONT, and do not start it again"},
				{"-o", "once: start it, and not again"},
				{"-x", "end the supervision when the service is down"},
				{"-p", "pause: STOP"},
				{"-c", "continue: CONT"},
				{"-h", "HUP"},
				{"-a", "ALRM"},
				{"-i", "INT"},
				{"-t", "TERM"},
				{"-k", "KILL"},
				{"-q", "QUIT"},
				{"-1", "USR1"},
				{"-2", "USR2"},
				{"-w", "WINCH"},
				{"-L", "what follows is for the logger"},
				{"-l", "what follows is for the service (default)"},
				{"-+", "signals that follow go to the process group"},
				{"-=", "signals that follow go to the process (default)"},
			}},
		{"svok", "tell whether a service is supervised",
			"dir", nil},
		{"svscan", "supervise every service below a directory, in place of daemontools' svscan",
			"[option ...] [root] [-- command [arg ...]]", nil},
		{"svscanboot", "start svscan with its messages in the process list",
			"[root]", nil},
		{"svstat", "show the state of services",
			"[-L] [-l] [--long|--json] dir ...", []helpOption{
				{"-l", "the service alone"},
				{"-L", "the log process alone"},
				{"--long", "more, for people"},
				{"--json", "more, for programs"},
			}},
		{"svup", "tell whether a service is up",
			"[-L] [-l] dir", []helpOption{
				{"-l", "the service alone"},
				{"-L", "the log process alone"},
			}},
		{"tai64n", "label lines with the time", "", nil},
		{"tai64nfrac", "turn time labels into seconds since 1970", "", nil},
		{"tai64nlocal", "turn time labels into local time", "", nil},
		{"upkeep", "supervise every service below a directory",
			"[option ...] [ROOT] [-- COMMAND [ARG...]]", []helpOption{
				{"--status=FORMAT", "format of supervise/status: runit, encore, daemontools or s6"},
				{"--state=DIR", "keep supervise/ of each service in DIR/NAME"},
				{"--stop-timeout=TIME", "from the order to stop to the KILL of what is left"},
				{"--prune", "stop a service when its entry is removed"},
				{"--guard", "run below a parent that starts it again when it is killed"},
				{"--cgroup=HOW", "a cgroup for each service: auto, off, require, or below a directory"},
			}},
	}
}
