package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/supervisor"
)

// retakeInterval is how long a directory that is not supervised, after x or because it could not be,
// stays so. It is svscan's interval.
const retakeInterval = 5 * time.Second

func (e *entry) beginMain() {
	super, _ := e.superDirs()
	group := e.groups.main
	e.main = supervisor.New(e.d.host, supervisor.Config{
		Name: e.name, Label: e.name, Path: e.path, Real: e.real, Super: super,
		Stdin: unix.Stdin, Stdout: unix.Stdout, Pipe: e.pipe, Group: group,
		Watch: e.watching(e.real, group != nil), Order: e.d.sequence.of(e),
	}, supervisor.Events{
		Taken:    func() { e.refused[0] = ""; e.d.sequence.moved(e) },
		Refused:  func(err error) { e.main = nil; e.notTaken(0, e.name, err, e.beginMain) },
		Moved:    func() { e.d.sequence.moved(e) },
		Died:     e.died,
		Released: func() { e.main = nil; e.d.sequence.moved(e); e.released(); e.freed() },
		Broken:   func() { e.main = nil; e.replace(e.beginMain) },
	})
	e.main.SetLog(e.log)
	e.main.Begin()
}

// released lets a log program end with its service, to which it belongs.
func (e *entry) released() {
	if e.program {
		e.drain()
	}
}

func (e *entry) beginLog() {
	main, super := e.superDirs()
	group := e.d.groups.ofLogger(e)
	watch := e.watching(filepath.Join(e.real, "log"), group != nil)
	if e.program { // what is known of it is in the service's supervise directory
		if watch = nil; main == "" {
			main = fsstate.SuperviseDir(os.Getenv, e.real)
		}
		super = filepath.Join(main, "log")
	}
	e.log = supervisor.New(e.d.host, supervisor.Config{
		Name: e.name + "/log", Label: "log", Path: e.logPath(), Real: e.logPathIn(e.real), Super: super,
		Stdin: unix.Stdin, Stdout: unix.Stdout, Pipe: e.pipe, Logger: true, LogProgram: e.program, Group: group,
		Watch: watch,
	}, supervisor.Events{
		Taken:    func() { e.refused[1] = "" },
		Refused:  func(err error) { e.setLog(nil); e.notTaken(1, e.name+"/log", err, e.beginLog) },
		Released: func() { e.setLog(nil); e.freed() },
		Broken:   func() { e.setLog(nil); e.replace(e.beginLog) },
	})
	e.setLog(e.log)
	e.log.Begin()
}

// watching returns what begins to watch a directory and, where limits count, the one that has them.
func (e *entry) watching(real string, limits bool) func() {
	return func() { e.d.watch.service(real, limits) }
}

// report says once per cause why a directory could not be taken up.
func (e *entry) report(which int, who string, err error) {
	if text := err.Error(); e.refused[which] != text {
		e.refused[which] = text
		e.d.messages.warn(who, "%v; trying again every %v", err, retakeInterval)
	}
}

// notTaken says that the service or its logger is not supervised. A lock that a daemon which was killed has still, or a
// child that it was about to start, is waited for without a word.
func (e *entry) notTaken(which int, who string, err error, begin func()) {
	d := e.d
	if !errors.Is(err, fsstate.ErrLocked) || !d.host.Crashed || time.Since(e.since) > lockPatience || d.stop != nil {
		e.report(which, who, err)
		e.freed()
		return
	}
	d.preparing++
	d.host.After(lockPause, func() {
		d.preparing--
		if d.stop != nil || d.entries[e.id] != e || e.preparing || [...]*supervisor.Supervisor{e.main, e.log}[which] != nil {
			return
		}
		if begin(); e.halted && e.main != nil {
			e.main.Stop()
		}
	})
}

// freed decides what follows when the service or its logger is no longer supervised.
func (e *entry) freed() {
	d := e.d
	switch {
	case d.stop != nil, e.halted:
		if e.main == nil {
			e.drain()
		}
		if d.stop != nil {
			d.stop.check()
		} else if e.main == nil && e.log == nil {
			e.forget()
			d.rescan() // it may have come back meanwhile
		}
	case e.gone && e.main == nil && e.log == nil:
		e.forget()
	default:
		e.retake()
	}
}

// replace begins anew what has panicked: at once, unless that happens again and again.
func (e *entry) replace(begin func()) {
	again := time.Since(e.broken) < retakeInterval
	e.broken = time.Now()
	switch {
	case !again:
		begin()
	case e.d.stop == nil:
		e.retake()
		return
	}
	if (e.d.stop != nil || e.halted) && e.main != nil {
		e.main.Stop()
	}
}

// retake takes up again, later, what is listed and not supervised.
func (e *entry) retake() {
	e.d.host.After(retakeInterval, func() {
		switch {
		case e.d.stop != nil || e.gone || e.d.entries[e.id] != e:
		case e.main == nil && e.log == nil:
			if !e.preparing {
				e.prepare()
			}
		case e.pipe == nil && e.logged: // the logger still drains it
			e.retake()
		case e.main == nil:
			e.beginMain()
		case e.log == nil && e.logged:
			e.beginLog()
		}
	})
}
