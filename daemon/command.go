package daemon

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/reaper"
)

// A command is the main command: its end ends everything, and its exit code is the daemon's.
type command struct {
	d       *daemon
	pid     int
	running bool
	ending  bool
}

// startCommand starts the main command, if there is one, when the services of the first scan are being
// started.
func (d *daemon) startCommand() {
	if len(d.Command) == 0 || d.stop != nil {
		return
	}
	c := &command{d: d, running: true}
	d.command = c
	if c.resume() {
		return
	}
	d.host.Pool.NewLane().DoQuickStart(func() {
		path, err := findProgram(d.Command[0])
		if err == nil {
			err = d.host.Reaper.Start(reaper.Spec{
				Path: path, Args: d.Command, Env: d.host.Env, Stdin: unix.Stdin, Stdout: unix.Stdout, Stderr: unix.Stderr,
				// On a terminal the command gets it, with ^C and ^Z; we are in the background then.
				Foreground: ownsTerminal(unix.Stdin), Setpgid: true,
			}, c)
		}
		if err != nil {
			d.mail.post(func() { c.failed(err) })
		}
	})
}

// resume goes on with the command that an earlier upkeep has started, if it still runs or its end is known.
func (c *command) resume() bool {
	d := c.d
	var p reaper.Process
	switch {
	case d.handed != nil:
		p = d.handed.command
	default:
		if i, err := c.last(); err == nil && d.ours(i) {
			p = reaper.Process{Pid: i.Pid, Start: i.Start}
		}
	}
	if p.Pid == 0 {
		return false
	}
	watch, alive := d.host.Reaper.TakeOver(p.Pid, p.Start, c)
	if !alive {
		return false
	}
	c.pid = p.Pid
	if watch >= 0 {
		d.host.WatchPid(c.pid, watch, func(err error) {
			d.messages.warn("", "cannot wait for the end of the command: %v; looking every second", err)
		})
	}
	return true
}

// record lets an upkeep that is started after a crash find the command.
func (c *command) record(phase string) {
	d := c.d
	i := fsstate.Info{World: d.host.World, Pid: c.pid, Phase: phase, Start: d.host.Reaper.StartTime(c.pid)}
	d.scan.lane.Do(func() {
		var err error
		if kept := os.Getenv(guardVar); kept != "" {
			err = os.WriteFile(kept, i.Append(nil), 0o600)
		} else {
			err = d.home.Write(fsstate.HomeCommand, i.Append(nil))
		}
		if err != nil {
			d.messages.warn("", "%v; after a crash the command would be started a second time", err)
		}
	})
}

// last is what was recorded last: the guard's memory is better than a root's, which there may not be.
func (c *command) last() (fsstate.Info, error) {
	if kept := os.Getenv(guardVar); kept != "" {
		line, err := os.ReadFile(kept)
		if err != nil {
			return fsstate.Info{}, err
		}
		return fsstate.ParseInfo(line)
	}
	return c.d.home.Last(fsstate.HomeCommand)
}

// startAlone starts the main command where there is nothing else to start.
func (d *daemon) startAlone() {
	d.scan.complete = true
	d.startCommand()
	d.notify.scanned(d.starts)
}

// ownsTerminal tells whether fd is a terminal whose foreground process group is ours.
func ownsTerminal(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// findProgram finds a program as the family does: by its path, or in PATH.
func findProgram(name string) (string, error) {
	if filepath.Base(name) != name {
		return name, nil
	}
	path, set := os.LookupEnv("PATH")
	if !set {
		path = "/bin:/usr/bin"
	}
	result := error(unix.ENOENT)
	for _, dir := range filepath.SplitList(path) {
		if dir == "" {
			dir = "."
		}
		full := filepath.Join(dir, name)
		st, err := os.Stat(full)
		if err != nil || st.IsDir() {
			continue
		}
		if err := unix.Access(full, unix.X_OK); err != nil {
			result = err
			continue
		}
		return full, nil
	}
	return "", result
}

// Started and Exited are the reaper's.
func (c *command) Started(pid int) {
	c.d.mail.post(func() {
		c.pid = pid
		c.record(phaseUp)
		if c.ending {
			c.end()
		}
	})
}

func (c *command) Exited(e reaper.Exit) {
	c.d.mail.post(func() {
		c.running, c.pid = false, 0
		c.record(phaseGone)
		c.over(exitCode(e.Status))
	})
}

func (c *command) failed(err error) {
	c.running = false
	c.d.messages.line(c.d.Program + ": fatal: unable to run " + printable(c.d.Command[0]) + ": " + err.Error())
	c.over(exitSystem)
}

// over ends everything with the command's exit code, also when it ended because it was told to. Only the
// end of an essential service that came before it counts for more.
func (c *command) over(code int) {
	d := c.d
	if d.stop == nil {
		d.stopAll(&code, d.StopTimeout)
		return
	}
	if d.stop.code == nil {
		d.stop.code = &code
	}
	d.stop.check()
}

// end asks the command to end.
func (c *command) end() {
	c.ending = true
	c.signal(unix.SIGTERM)
	c.signal(unix.SIGCONT)
}

func (c *command) signal(s unix.Signal) {
	if c.pid != 0 {
		c.d.host.Reaper.Signal(c.pid, s, false)
	}
}
