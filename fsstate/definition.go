package fsstate

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// A Definition is what a service directory asks for. A directory with nothing but a run has that of
// Read's defaults, which are given here.
type Definition struct {
	// Dialect says for which supervisor the directory was written: what the arguments of run and finish
	// are, and which exit codes mean that it makes no sense to go on. Scripts that only other dialects
	// have do not count.
	Dialect Dialect
	Remote  bool // executing run touches a file system that can hang

	Down     bool // down: not wanted up when it is taken up
	NoSetsid bool // no-setsid (daemontools-encore): runs in the daemon's session

	Start bool // start (encore): runs before run
	// Oneshot: there is a start and no run (encore), so that the service is up without a process when start has ended.
	Oneshot bool
	Stop    bool // stop (encore): runs after run when the service is to be down
	Notify  bool // notify (encore): is told of every start and end
	Log     bool // log (encore): a program that reads what start, run and stop write

	Finish  bool   // finish (runit, s6): runs after run
	Check   bool   // check (runit): clients ask it whether the service that is up is of use
	Control string // control/LETTER (runit): the letters that have a script

	DownSignal     unix.Signal   // down-signal (s6): what the letter d sends; TERM
	ReloadSignal   unix.Signal   // reload-signal (s6): what the letter l sends if it comes alone; 0, l is none
	TimeoutKill    time.Duration // timeout-kill (s6): from the stop signal to KILL; 0 means never
	KillGroup      bool          // flag-timeout-killpg (s6): that KILL goes to the process group
	TimeoutFinish  time.Duration // timeout-finish (s6): how long finish may take; 0 means for ever, s6's default is 5 s
	MaxDeathTally  int           // max-death-tally (s6): how many deaths supervise/death_tally keeps; 100
	NewPIDs        bool          // flag-newpidns (s6): run is process 1 of a PID namespace
	NotificationFD int           // notification-fd (s6): run says that it is ready on this descriptor; 0, it does not
	Event          bool          // s6's, or event/: s6's programs are told what becomes of the service

	Trigger Trigger  // trigger (daemontoolsx): what the start waits for; none
	After   []string // after: the services that the start waits for; none

	Essential    bool          // essential: its end is the end of everything
	KillTree     bool          // kill-tree: nothing of an earlier run may live beside the next
	Backoff      time.Duration // backoff: the longest pause between starts; 0 means always one second
	NotifySocket bool          // notify-socket: run says that it is ready as systemd's services do
	Limits       bool          // cgroup/: its cgroup has limits

	marks fileSet // what the dialect was told by
}

// Values that a Definition has where its directory does not say otherwise.
const (
	standardTimeoutFinish = 5 * time.Second
	standardMaxDeaths     = 100
)

// maxDeaths is s6's limit for what a death tally keeps.
const maxDeaths = 4096

// lastFD is the largest number that a descriptor can have: the kernel's fs.nr_open is not raised in
// practice.
const lastFD = 1<<20 - 1

// Read reads the Definition of the service directory at path. The error, if there is one, joins one
// *ValueError for each file whose value is not usable; its default holds then. A directory that is not
// there holds nothing.
func Read(path string) (Definition, error) {
	l := list(path)
	defer l.close()
	return l.definition()
}

func (l *listing) definition() (Definition, error) {
	var bad problems
	run := l.program()
	d := Definition{
		Remote: run.remote,

		Down:         l.exists(fileDown),
		NoSetsid:     l.exists(fileNoSetsid),
		KillGroup:    l.exists(fileTimeoutKillGroup),
		NewPIDs:      l.exists(fileNewPIDs),
		Essential:    l.exists(fileEssential),
		KillTree:     l.exists(fileKillTree),
		NotifySocket: l.exists(fileNotifySocket),
		Limits:       l.isDir(fileCgroup),

		DownSignal:   l.signal(fileDownSignal, unix.SIGTERM, unix.SIGTERM, &bad),
		ReloadSignal: l.signal(fileReloadSignal, 0, unix.SIGHUP, &bad),
		TimeoutKill: l.duration(fileTimeoutKill, time.Millisecond, 0,
			"KILL is never sent", &bad),
		TimeoutFinish: l.duration(fileTimeoutFinish, time.Millisecond, standardTimeoutFinish,
			"finish may take 5000 ms", &bad),
		MaxDeathTally: int(l.number(fileDeathTally, standardMaxDeaths, 0, math.MaxUint32,
			"100 deaths are kept", &bad)),
		NotificationFD: int(l.number(fileNotificationFD, 0, 1, lastFD,
			"no notice of readiness is expected", &bad)),
		Backoff: l.duration(fileBackoff, time.Second, 0,
			"the pause stays at one second", &bad),
	}
	d.MaxDeathTally = min(d.MaxDeathTally, maxDeaths)
	d.Trigger = l.trigger(&bad)
	d.After = l.after(&bad)
	l.scripts(&d, run.interpreter, &bad)
	return d, bad.err()
}

// OfLog is the Definition of the program log itself: what the directory asks for run does not count for it.
func (d *Definition) OfLog() Definition {
	return Definition{
		Dialect: d.Dialect, Remote: d.Remote, Down: d.Down, NoSetsid: d.NoSetsid, Notify: d.Notify, Log: true,
		TimeoutKill: d.TimeoutKill, KillGroup: d.KillGroup, marks: d.marks,
	}
}

// Format is the format of the status file of the service where f is that of all: s6's programs can read
// that of one that they are told of, unless another one than the usual was asked for.
func (d *Definition) Format(f Format) Format {
	if d.Event && f == FormatRunit {
		return FormatS6
	}
	return f
}
