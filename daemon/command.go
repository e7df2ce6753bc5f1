package daemon

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/reaper"
	"upkeep/supervisor"
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
	lane := d.host.Pool.NewLane()
	last, starting := c.before()
	switch {
	case c.takeOver(last):
	case starting != 0:
		lane.Do(func() {
			p := c.find(starting)
			d.mail.post(func() {
				if c.takeOver(p) {
					c.begun()
				} else {
					c.start(lane)
				}
			})
		})
	default:
		c.start(lane)
	}
}

func (c *command) start(lane *supervisor.Lane) {
	d := c.d
	lane.DoQuickStart(func() {
		path, err := findProgram(d.Command[0])
		if err == nil {
			c.write(fsstate.Info{World: d.host.World, Phase: phaseStarting, After: reaper.Tick()})
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

// before is the process of the command that an earlier upkeep has started, and the tick before it was started if it
// has not said which that is.
func (c *command) before() (p reaper.Process, starting uint64) {
	if c.d.handed != nil && c.d.handed.command.Pid != 0 {
		return c.d.handed.command, 0
	}
	i, err := c.last()
	switch {
	case err != nil || !c.d.ours(i):
		return p, 0
	case i.Phase == phaseStarting:
		return p, i.After
	}
	return reaper.Process{Pid: i.Pid, Start: i.Start}, 0
}

// find looks for a command that was started at a tick or later, and not recorded: below a guard it is the guard's
// child now, or it is ours, and leads a process group, but no session as services do.
func (c *command) find(after uint64) reaper.Process {
	c.d.host.Census.Settle()
	session, _ := unix.Getsid(0)
	list := reaper.Children(os.Getpid())
	if os.Getenv(guardVar) != "" {
		list = append(list, reaper.Children(os.Getppid())...)
	}
	for _, p := range list {
		if p.Group == p.Pid && p.Session == session && p.Start >= after && !p.Zombie && !c.d.host.Reaper.Has(p.Pid) {
			return p
		}
	}
	return reaper.Process{}
}

// takeOver goes on with a process of an earlier upkeep, if it still runs or its end is known.
func (c *command) takeOver(p reaper.Process) bool {
	if p.Pid == 0 {
		return false
	}
	d := c.d
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
	d.scan.lane.Do(func() { c.write(i) })
}

func (c *command) write(i fsstate.Info) {
	var err error
	if kept := os.Getenv(guardVar); kept != "" {
		err = overwrite(kept, i.Append(nil))
	} else {
		err = c.d.home.Write(fsstate.HomeCommand, i.Append(nil))
	}
	if err != nil {
		c.d.messages.warn("", "%v; after a crash the command would be started a second time", err)
	}
}

// overwrite writes a line over what a file holds, at once: whenever this process is killed, one of them is there.
func overwrite(path string, line []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(line)
	return err
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
		c.begun()
	})
}

func (c *command) begun() {
	c.record(phaseUp)
	if c.ending {
		c.end()
	}
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
