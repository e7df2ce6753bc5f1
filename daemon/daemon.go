// Package daemon supervises a service root with one process: it watches the directory, keeps the set of
// services, starts and stops them in order, and does what falls to PID 1.
//
// All state has one owner at a time, who takes a turn and runs what is posted to the mailbox: one
// goroutine, or after a death that means a restart the one that has waited for it. The others, for letters,
// directory changes and messages, only post. Whatever can block on a service's file system runs on that
// service's lane.
package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/cgroup"
	"upkeep/fsstate"
	"upkeep/reaper"
	"upkeep/supervisor"
)

// A Config is what the command line says.
type Config struct {
	Program     string // the name that begins every message
	Root        string // the directory of services
	State       string // where supervise/ is kept instead of in the services' directories, or ""
	Status      fsstate.Format
	StopTimeout time.Duration // from the order to stop to the KILL of what is left
	Prune       bool          // a service whose entry is removed is stopped
	Guard       bool          // the daemon is to be the child of a guard
	Cgroup      cgroup.Policy
	CgroupDir   string   // of the unified hierarchy, instead of where upkeep was started; or ""
	Command     []string // the main command, or none
	CommandOnly bool     // will do where there is no root, since nobody has named one
	// StartError gives the line that daemontools' supervise prints when it cannot execute ./run in dir.
	StartError func(dir string, err error) string
}

// Exit codes of the daemon beside those of the main command.
const (
	exitOK     = 0
	exitSystem = 111
)

// A RootError says why there is no root to supervise.
type RootError struct {
	Root string
	Err  error
}

func (e *RootError) Error() string { return "cannot open the root " + e.Root + ": " + e.Err.Error() }
func (e *RootError) Unwrap() error { return e.Err }

type daemon struct {
	Config
	*machinery
	root      string
	rootID    fsstate.ID
	alone     bool // there is no root, only the command
	home      *fsstate.Home
	register  *register
	entries   map[fsstate.ID]*entry
	preparing int      // how many of them are
	upgrading *upgrade // while a new program is asked whether it can take our place
	scan      scanner
	watch     *watcher
	groups    *groups
	sequence  *sequence
	command   *command
	machine   *Machine  // whose init this is, or nil
	stop      *stopping // nil until everything is to end
}

// machinery is what any supervision needs, of one directory or of many.
type machinery struct {
	mail     *mailbox
	messages *messages
	host     *supervisor.Host
	deaths   *reaper.Deaths
	signals  chan os.Signal
	notify   *notifier       // nil where no service manager listens
	onSweep  func(left bool) // called when children were reaped, unless nil; left says whether there are more
	rescuer  *rescuer
	program  string    // the path of what is executed
	since    time.Time // when this program was executed
	handed   *Handover // by the program that was here before, or nil
	resumes  int       // how often this process has executed itself anew
	panics   int       // of those, after panics, in a row

	turns    sync.Mutex // held by whoever acts as the owner of all state
	finished bool
	code     int
}

// starters is how many starts are under way at a time, so that a processor forks while another one executes.
const starters = 2

func newMachinery(c Config) (*machinery, error) {
	handed, badHandover := receive()
	r := &rescuer{}
	controls, err := supervisor.NewControls(r.rescue)
	if err != nil {
		return nil, err
	}
	m := &machinery{mail: newMailbox(), messages: newMessages(c.Program, unix.Stderr), rescuer: r, program: programPath(), since: time.Now(), handed: handed}
	r.messages = m.messages
	if badHandover != nil {
		m.messages.warn("", "%v; what runs is found as after a crash", badHandover)
	}
	if handed != nil {
		m.resumes, m.panics = handed.resumes, handed.panics
	}
	m.host = &supervisor.Host{
		Post: m.mail.post, PostLater: m.mail.postLater, PostEnd: m.mail.postEnd,
		Reaper: &reaper.Reaper{Post: m.postEnds}, Pool: &supervisor.Pool{Rouse: m.mail.rouse, Rescue: r.rescue}, Controls: controls,
		Warn:       m.messages.warn,
		StartError: func(dir string, err error) { m.messages.line(printable(c.StartError(dir, err))) },
		World:      reaper.World(), Crashed: handed != nil || badHandover != nil, Census: new(reaper.Census),
		Held: handed.dir, Socket: handed.socket, Panicked: m.isolated,
		Env: withoutManager(os.Environ()), Format: c.Status, Stderr: unix.Stderr,
	}
	m.notify = newNotifier(m) // before Prepare: it is also told by the thread that has few descriptors
	m.host.Reaper.Prepare(handed.descriptors())
	for range starters {
		if hand := m.host.Reaper.Hand(); hand != nil {
			m.host.Pool.Starters = append(m.host.Pool.Starters, hand.Take)
		}
	}
	handed.dropSpare()
	if err := reaper.Adopt(); err != nil {
		m.messages.warn("", "cannot become a subreaper: %v; what services leave behind is not reaped", err)
	}
	return m, nil
}

// postEnds posts what itself posts for later.
func (m *machinery) postEnds(f func()) {
	m.mail.post(func() { f(); m.mail.rouseForAny() })
}

// isolated says what has gone wrong with one service.
func (m *machinery) isolated(who string, p any, stack []byte) {
	write(unix.Stderr, string(stack))
	m.messages.warn(who, "panic: %v; it is taken up anew, and its process goes on", p)
}

// run takes a turn for what is posted and for each signal, until finish is called.
func (m *machinery) run(onSignal func(unix.Signal)) int {
	m.reap()
	m.serve(onSignal)
	m.host.Controls.Close()
	return m.code
}

// serve takes the turns of run.
func (m *machinery) serve(onSignal func(unix.Signal)) {
	defer m.rescuer.rescue()
	for goOn := true; goOn; {
		select {
		case <-m.mail.wake:
			goOn = m.turn(m.mail.run)
		case s := <-m.signals:
			goOn = m.turn(func() { onSignal(s.(unix.Signal)) })
		}
	}
}

// Orphans are nobody's business, and many may die one after another. To be woken for one costs many times
// what reaping it does, the more the more children there are. So where the next one dies within crowdGap, those
// that follow are let lie for crowdPause and reaped together; the death of a service waits no longer than that.
const (
	crowdGap   = time.Millisecond
	crowdPause = 10 * time.Millisecond
)

// reap looks for dead children on a goroutine that waits for them and, where it forks fast, itself executes
// what is to be started again: waking another one would take as long as all the rest of a restart. If it
// gets stuck in that, another one takes its place.
func (m *machinery) reap() {
	m.host.Reaper.Aside(func(lean bool) {
		defer m.rescuer.rescue()
		for goOn := true; goOn; {
			asleep := time.Now()
			pid := m.deaths.Await()
			soon := time.Since(asleep) < crowdGap
			anybody, relieved := false, false
			if lean && pid != 0 {
				if anybody, relieved = m.restart(pid); relieved {
					return
				}
			}
			goOn = m.turn(func() { anybody = m.sweep() || anybody }) // ends count from now on
			if goOn && soon && !anybody {
				time.Sleep(crowdPause)
			}
		}
	})
}

// sweep reaps what is dead, and tells whether that is anybody's business. An orphan's death wakes nobody.
func (m *machinery) sweep() (anybody bool) {
	left := m.host.Reaper.Sweep()
	if m.onSweep != nil {
		m.mail.postLater(func() { m.onSweep(left) })
	}
	return m.mail.rouseForAny()
}

// restart is the short way for one death, and tells whether that is anybody's business. Looking for others
// comes after it: it takes a while where there are many children. relieved says that this goroutine was.
func (m *machinery) restart(pid int) (anybody, relieved bool) {
	m.turn(func() {
		m.host.Pool.Hold()
		m.host.Reaper.Reap(pid)
		anybody = m.mail.runShort()
	})
	return anybody, m.host.Pool.Work(m.reap)
}

// turn acts as the owner of all state, and tells whether there is more to do.
func (m *machinery) turn(act func()) (goOn bool) {
	m.turns.Lock()
	defer m.turns.Unlock()
	if !m.finished {
		act()
		m.notify.turned()
	}
	return !m.finished
}

// say queues a message that warns of nothing.
func (m *machinery) say(text string) { m.messages.line(m.messages.program + ": " + printable(text)) }

func (m *machinery) finish(code int) {
	m.finished, m.code = true, code
	m.mail.rouse()
}

// Run supervises a root until a signal, the main command or an essential service ends it, and returns
// the exit code. The error says why it could not begin.
func Run(c Config) (int, error) {
	defer sayEnded()
	signals, deaths := catchSignals()
	if err := harden(); err != nil {
		return exitSystem, err
	}
	m, err := newMachinery(c)
	if err != nil {
		return exitSystem, err
	}
	m.signals, m.deaths = signals, deaths
	m.handed.relay(signals)
	defer m.messages.close(time.Second)
	m.calmDown(m.panics)
	d, err := m.take(c)
	if err != nil {
		return exitSystem, err
	}
	defer d.leave()
	m.rescuer.resume = d.afterPanic
	return d.run(d.onSignal), nil
}

// take makes the daemon of a root, or says why it cannot be supervised.
func (m *machinery) take(c Config) (*daemon, error) {
	d := &daemon{Config: c, machinery: m, entries: make(map[fsstate.ID]*entry)}
	d.sequence = newSequence(d)
	root, err := filepath.Abs(c.Root)
	if err != nil {
		return nil, err
	}
	d.root = root
	if d.State != "" {
		if d.State, err = filepath.Abs(d.State); err != nil {
			return nil, err
		}
	}
	_, isDir, err := fsstate.Identify(root)
	if err == nil && !isDir {
		err = unix.ENOTDIR
	}
	if c.CommandOnly && len(c.Command) > 0 {
		_, missing := os.Lstat(root) // a link to nothing was meant to be something
		d.alone = errors.Is(missing, unix.ENOENT)
	}
	if err != nil && !d.alone {
		return nil, &RootError{c.Root, err}
	}
	if !d.alone {
		if err := d.settle(); err != nil {
			return nil, err
		}
	}
	// Only who has the lock may move into the root's cgroup.
	if d.groups, err = newGroups(d); err != nil {
		d.home.Close()
		return nil, err
	}
	if d.handed != nil {
		d.expectHanded()
	}
	d.listen()
	d.register = newRegister(d)
	d.scan = newScanner(d)
	d.watch = newWatcher(d)
	d.notify.begin(d.summary)
	if d.alone {
		d.mail.post(d.startAlone)
	} else {
		d.mail.post(d.rescan)
	}
	return d, nil
}

// onSignal gives each signal its meaning.
func (d *daemon) onSignal(s unix.Signal) {
	switch s {
	case unix.SIGTERM, unix.SIGINT, unix.SIGPWR:
		d.machine.ordered(s)
		d.stopAll(nil, d.StopTimeout)
	case unix.SIGQUIT:
		d.machine.ordered(s)
		d.stopAll(nil, time.Second)
	case unix.SIGHUP, unix.SIGALRM:
		d.notify.reloading()
		d.rescan()
	case unix.SIGUSR1:
		d.upgrade("")
	case unix.SIGPIPE: // of our own writing to nobody
	default:
		if d.command != nil {
			d.command.signal(s)
		}
	}
}
