package daemon

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/reaper"
)

// A guard is the parent of a daemon and does as little as can be done: it reaps, passes signals on, and starts
// the daemon again when that was killed or has broken down. Where that would end everything, as in a container
// whose PID 1 ends, every service outlives the daemon all the same.
type guard struct {
	program  string // in messages
	path     string
	args     []string // of the daemon
	env      []string
	reaper   *reaper.Reaper
	messages *messages

	pid     int            // of the daemon, or 0
	name    string         // of the last process that was reaped
	started chan int       // the daemon's pid
	ended   chan daemonEnd // the daemon's
	begun   time.Time
	crashes int         // in a row
	stop    unix.Signal // the order to stop that was passed on last
}

// guardVar names, in the daemon's environment, a file in which the guard keeps what must outlive the daemon.
const guardVar = "UPKEEP_GUARD"

// endedName is what a daemon calls itself that ends because it should. Nothing else tells its exit code, which may
// be that of any command, from that of a program that has broken down.
const endedName = "upkeep-ended"

// sayEnded tells the guard, if there is one, that this process ends because it should.
func sayEnded() { os.WriteFile("/proc/self/comm", []byte(endedName), 0) }

// Guard runs the daemon with the arguments given until that ends as it should, and returns its exit code.
func Guard(program string, args []string) int {
	signals, deaths := catchSignals()
	keepDescriptors()
	g := &guard{
		program: program, path: programPath(), args: args, env: os.Environ(), started: make(chan int, 1), ended: make(chan daemonEnd, 1),
		reaper: &reaper.Reaper{}, messages: newMessages(program, unix.Stderr),
	}
	defer g.messages.close(time.Second)
	if err := reaper.Adopt(); err != nil {
		g.messages.warn("", "cannot become a subreaper: %v; what outlives the daemon is found all the same", err)
	}
	if fd, err := unix.MemfdCreate("upkeep-guard", unix.MFD_CLOEXEC); err == nil {
		g.env = append(g.env, fmt.Sprintf("%s=/proc/%d/fd/%d", guardVar, os.Getpid(), fd))
	}
	go g.reap(deaths) // ends with the process
	return g.run(signals)
}

// A daemonEnd is the end of a daemon, and whether it should have been.
type daemonEnd struct {
	reaper.Exit
	ordered bool
}

// reap reaps the daemon and all that has lost its parent. What a daemon calls itself can be read while it is
// dead and not reaped.
func (g *guard) reap(deaths *reaper.Deaths) {
	for {
		pid := deaths.Await()
		if pid == 0 {
			continue
		}
		name, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
		g.name = strings.TrimSpace(string(name))
		g.reaper.Reap(pid)
	}
}

// Started and Exited are the reaper's.
func (g *guard) Started(pid int) { g.started <- pid }

func (g *guard) Exited(e reaper.Exit) {
	const broken = 2                                                                  // the exit code of a Go program that has broken down
	ordered := g.name == endedName || g.name == "" && e.Status.ExitStatus() != broken // without /proc it has no name
	g.ended <- daemonEnd{e, e.Status.Exited() && ordered}
}

func (g *guard) run(signals <-chan os.Signal) int {
	again := time.After(0)
	var remind <-chan time.Time
	for {
		select {
		case <-again:
			again = g.start()
		case <-remind: // a daemon that was just beginning may not have heard it
			g.pass(g.stop)
		case s := <-signals:
			g.pass(s.(unix.Signal))
			switch s {
			case unix.SIGTERM, unix.SIGINT, unix.SIGPWR, unix.SIGQUIT:
				g.stop = s.(unix.Signal)
				if g.pid == 0 {
					again = time.After(0)
				}
			}
		case e := <-g.ended:
			g.pid = 0
			if e.ordered {
				return e.Status.ExitStatus()
			}
			pause := g.crashed()
			g.messages.warn("", "the daemon has ended (%s); its services run on, and it is started again in %v", describe(e.Status), pause)
			again = time.After(pause)
		}
		remind = nil
		if g.stop != 0 && g.pid != 0 {
			remind = time.After(remindTime)
		}
	}
}

// start starts the daemon. If that fails it returns when to try again.
func (g *guard) start() (again <-chan time.Time) {
	g.begun = time.Now()
	err := g.reaper.Start(reaper.Spec{
		Path: g.path, Args: append([]string{g.program}, g.args...), Env: g.env,
		Stdin: unix.Stdin, Stdout: unix.Stdout, Stderr: unix.Stderr,
	}, g)
	if err != nil {
		pause := g.crashed()
		g.messages.warn("", "cannot start the daemon, %s: %v; trying again in %v", g.path, err, pause)
		return time.After(pause)
	}
	g.pid = <-g.started
	return nil
}

// pass passes a signal on to the daemon.
func (g *guard) pass(s unix.Signal) {
	if g.pid != 0 && s != unix.SIGPIPE {
		g.reaper.Signal(g.pid, s, false)
	}
}

// crashed returns the pause before the next start: none at first, and a longer one each time that it comes to
// nothing.
func (g *guard) crashed() time.Duration {
	if time.Since(g.begun) > panicPeriod {
		g.crashes = 0
	}
	g.crashes++
	if g.crashes < 2 {
		return 0
	}
	return min(time.Second<<(min(g.crashes, 8)-2), time.Minute)
}
