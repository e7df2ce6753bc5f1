package applet

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
)

func rootDoes(r *fsstate.RootExamination) string {
	if len(r.Services) == 1 {
		return "is a root with one service"
	}
	return fmt.Sprintf("is a root with %d services", len(r.Services))
}

// does says what the daemon does with a service, in the order in which it happens.
func does(x *fsstate.Examination) []string {
	lines := []string{}
	d := &x.Definition
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if d.Down {
		say("down: it is not started until svc -u")
	}
	sayWaits(d, say)
	if d.KillTree {
		say("kill-tree: what an earlier run has left in the cgroup is ended before each start")
	}
	if len(x.Limits) > 0 {
		say("cgroup: limits %s", strings.Join(x.Limits, ", "))
	}
	switch {
	case d.Start && x.HasRun:
		say("start: runs before run, which follows if it exits with 0")
	case d.Start:
		say("start: if it exits with 0 the service is up, without a process")
	}
	sayRun(x, say)
	sayReady(d, say)
	sayBeside(d, say)
	saySignals(d, say)
	sayEnd(d, say)
	return lines
}

func sayWaits(d *fsstate.Definition, say func(string, ...any)) {
	if d.Trigger != "" {
		pid, waiting := d.Trigger.Check()
		if waiting == "" {
			waiting = fmt.Sprintf("names process %d", pid)
		}
		say("trigger: a start waits until %s names a living process; now it %s", string(d.Trigger), waiting)
	}
	if len(d.After) > 0 {
		say("after: a start waits until %s %s up, or ready where a service says when it is",
			enumerate(d.After), plural(d.After, "is", "are"))
	}
}

func sayRun(x *fsstate.Examination, say func(string, ...any)) {
	d := &x.Definition
	if !x.HasRun {
		return
	}
	text := "run: is started as " + strings.Join(d.Dialect.RunArgs(x.Name), " ")
	if x.Interpreter != "" {
		text += ", by " + x.Interpreter
	}
	if d.NoSetsid {
		text += ", in the session of upkeep"
	}
	if d.NewPIDs {
		text += ", in a PID namespace of its own"
	}
	if d.Remote {
		text += ", by way of upkeep itself, because it is on a file system that may not answer"
	}
	if d.Backoff > 0 {
		text += fmt.Sprintf("; when it keeps dying, the pause between starts grows up to %v", d.Backoff)
	}
	say("%s", text)
}

func sayReady(d *fsstate.Definition, say func(string, ...any)) {
	if d.NotificationFD != 0 {
		say("notification-fd: it is ready when it writes a newline to descriptor %d", d.NotificationFD)
	}
	if d.NotifySocket {
		say("notify-socket: it is ready when it sends READY=1 to the socket in NOTIFY_SOCKET")
	}
}

func sayBeside(d *fsstate.Definition, say func(string, ...any)) {
	if d.Log {
		say("log: reads what run%s", map[bool]string{true: ", start and stop write", false: " writes"}[d.Start || d.Stop])
	}
	if d.Notify {
		say("notify: is told of each start and end")
	}
	if d.Event {
		say("event: s6's programs hear what becomes of it")
	}
	if d.Check {
		say("check: sv and svup ask it whether the service that is up is of use")
	}
}

func saySignals(d *fsstate.Definition, say func(string, ...any)) {
	if d.Control != "" {
		letters := strings.Split(d.Control, "")
		say("control: %s for the %s %s may stand in for the signal", plural(letters, "a script", "scripts"),
			plural(letters, "letter", "letters"), enumerate(letters))
	}
	if d.DownSignal != unix.SIGTERM {
		say("down-signal: the letter d sends %s", signalName(int(d.DownSignal)))
	}
	if d.ReloadSignal != 0 {
		say("reload-signal: a lone letter l sends %s", signalName(int(d.ReloadSignal)))
	}
	if d.TimeoutKill > 0 {
		say("timeout-kill: it gets KILL %v after the letter d%s", d.TimeoutKill,
			map[bool]string{true: ", with its process group"}[d.KillGroup])
	}
}

func sayEnd(d *fsstate.Definition, say func(string, ...any)) {
	if d.Finish {
		args := "the exit code, or -1 after a signal, and the low byte of the wait status"
		if d.Dialect == fsstate.S6 {
			args = "the exit code, or 256 after a signal, the signal, the service's name and run's process group"
		}
		say("finish: runs after run with %s; it %s", args, finishTime(d.TimeoutFinish))
	}
	if d.Stop {
		say("stop: runs after run when the service is to be down")
	}
	if d.Essential {
		say("essential: when it ends by itself, everything is stopped")
	}
}

func finishTime(limit time.Duration) string {
	if limit == 0 {
		return "may take for ever"
	}
	return fmt.Sprintf("gets KILL after %v", limit)
}

// enumerate joins names: "a, b and c".
func enumerate(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

func plural(list []string, one, more string) string {
	if len(list) == 1 {
		return one
	}
	return more
}
