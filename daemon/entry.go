package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/cgroup"
	"upkeep/fsstate"
	"upkeep/logpipe"
	"upkeep/supervisor"
)

// retakeInterval is how long a directory that is not supervised, after x or because it could not be,
// stays so. It is svscan's interval.
const retakeInterval = 5 * time.Second

// settleTime is how long a new directory without an executable run may take to become complete.
const settleTime = time.Second

// An entry is a service directory of the root: its service, the logger beside it and the pipe between
// them. What it is, its device and inode, stays; its name may change.
type entry struct {
	d      *daemon
	id     fsstate.ID
	name   string
	path   string // name below the root
	real   string // path without symbolic links, as it is watched; empty until it is known
	former string // where an earlier upkeep has supervised it, if this one has not yet
	seen   int    // the last scan that found it
	gone   bool   // no longer listed
	halted bool   // to be stopped and forgotten

	since     time.Time // when it was first seen
	preparing bool      // its directory is being looked at
	waiting   bool      // for its directory to become complete
	group     string    // the name of its cgroup, if it has one
	groups    struct{ main, log *cgroup.Group }
	pipe      *logpipe.Pipe
	main      *supervisor.Supervisor // nil while it is not supervised
	log       *supervisor.Supervisor // nil without a logger, and while that is not supervised
	logged    bool
	program   bool      // the logger is the program log in the directory itself
	refused   [2]string // what was reported of main and log that could not be taken up
	after     []string  // what the service waits for, as was last heard
	trigger   fsstate.Trigger
	hastened  time.Time // when others began to wait for its status
	broken    time.Time // when a Supervisor of it has panicked last
}

// sorted returns the entries in the order of their names.
func (d *daemon) sorted() []*entry {
	list := make([]*entry, 0, len(d.entries))
	for _, e := range d.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	return list
}

// found says that a scan has found a directory of that name.
func (d *daemon) found(name string, id fsstate.ID) {
	if d.stop != nil {
		return
	}
	scan := d.scan.number
	delete(d.scan.problems, name)
	e := d.entries[id]
	if e == nil {
		d.newEntry(name, filepath.Join(d.root, name), id).prepare()
		return
	}
	if e.seen < scan { // the first of several names is the service's
		e.seen = scan
		e.rename(name)
	}
	if e.gone {
		e.gone = false
		if e.main == nil && !e.preparing {
			e.prepare()
		}
	}
}

func (d *daemon) newEntry(name, path string, id fsstate.ID) *entry {
	e := &entry{d: d, id: id, since: time.Now(), name: name, path: path, seen: d.scan.number}
	d.entries[id] = e
	d.scan.grown = true
	d.groups.of(e)
	return e
}

// rename follows a renamed entry: it stays the same service.
func (e *entry) rename(name string) {
	if e.name == name {
		return
	}
	e.name, e.path = name, filepath.Join(e.d.root, name)
	e.d.sequence.stale = true
	if e.main != nil {
		e.main.Rename(name, name, e.path)
	}
	if e.log != nil {
		e.log.Rename(name+"/log", "log", e.logPath())
	}
	e.follow(func() {})
}

// follow finds out where the directory is whose entry was renamed or removed, and then calls then: a directory that is
// no link is elsewhere now.
func (e *entry) follow(then func()) {
	if e.main == nil {
		then()
		return
	}
	e.main.Locate(func(path string) {
		if path != "" && e.d.entries[e.id] == e {
			e.settle(path)
		}
		then()
	})
}

// settle says where the directory is, under the name that the entry has now.
func (e *entry) settle(real string) {
	d, name, register := e.d, e.name, e.d.register
	if real != e.real {
		left := slices.DeleteFunc(e.places(), func(path string) bool { return !d.watch.disown(path, e) })
		e.real = real
		for _, path := range e.places() {
			d.watch.directories[path] = e
		}
		d.watch.follow(e, left, e.places())
	}
	d.watch.moves.Do(func() { register.add(name, real) })
	register.unneeded()
}

// places are the directories whose changes concern the entry.
func (e *entry) places() (list []string) {
	if e.real != "" {
		list = append(list, e.real)
	}
	if e.real != "" && e.logged && !e.program {
		list = append(list, filepath.Join(e.real, "log"))
	}
	return list
}

// A finding is what an entry's directory looks like before it is taken up.
type finding struct {
	fsstate.Outline
	err     error // of looking
	pipe    *logpipe.Pipe
	pipeErr error
	gone    bool // it was looked at as an entry that is no longer listed
	lives   bool // then: an earlier upkeep has left it running
}

// prepare looks at the directory and takes it up, or lets it become complete first.
func (e *entry) prepare() {
	superDir, logSuperDir := e.superDirs()
	if h, there := e.d.handed.pipe(e.id); there && e.pipe == nil {
		super := superDir
		if super == "" {
			super = fsstate.SuperviseDir(os.Getenv, e.path)
		}
		e.pipe = logpipe.Inherit(filepath.Join(super, "logpipe"), h)
	}
	name, path, known, held := e.name, e.path, e.real, e.pipe
	gone := e.gone
	settled := gone || time.Since(e.since) >= settleTime
	e.preparing, e.waiting = true, false
	e.d.preparing++
	register, lives := e.d.register, e.survival()
	e.d.host.Pool.NewLane().DoLook(func() {
		f := finding{gone: gone}
		f.Outline, f.err = fsstate.Sketch(path)
		if f.err == nil {
			f.lives = lives != nil && lives(f.Path)
			if f.Path != known && !gone {
				register.add(name, f.Path)
			}
			if !f.Runnable {
				e.d.watch.add(f.Path)
			}
			if e.d.State != "" {
				linkState(filepath.Dir(superDir), path)
				if f.Logged && !f.Program {
					linkState(filepath.Dir(logSuperDir), filepath.Join(path, "log"))
				}
			}
			if f.Logged && held == nil && (f.Runnable || settled) {
				f.openPipe(path, superDir)
			}
		}
		e.d.mail.postLater(func() { e.prepared(f, settled) })
	})
}

func (f *finding) openPipe(path, superDir string) {
	super, err := fsstate.MakeSuper(path, superDir)
	f.pipe, f.pipeErr = logpipe.Open(filepath.Join(super, "logpipe"))
	if err != nil {
		f.pipeErr = err
	}
}

// linkState makes DIR/NAME of --state serve clients as the service directory: they look there for what is down, and
// whether it says that it is ready.
func linkState(dir, path string) {
	if os.MkdirAll(dir, 0o755) != nil {
		return
	}
	for _, name := range []string{"down", "notification-fd", "notify-socket"} {
		os.Symlink(filepath.Join(path, name), filepath.Join(dir, name))
	}
}

func (e *entry) prepared(f finding, settled bool) {
	d := e.d
	e.preparing = false
	d.preparing--
	defer d.register.shorten()
	if d.stop != nil || d.entries[e.id] != e { // everything ends, or it was removed meanwhile
		if f.pipe != nil {
			f.pipe.Close()
		}
		if d.stop != nil {
			d.stop.check()
		}
		return
	}
	if e.pipe == nil {
		e.pipe = f.pipe
	}
	if e.gone && !f.gone || f.err == unix.ENOENT {
		if e.again(f.Path) {
			return
		}
	}
	if e.gone && !f.lives {
		e.forget()
		return
	}
	if f.err != nil {
		e.report(0, e.name, fmt.Errorf("cannot take it up: %w", f.err))
		e.retake()
		return
	}
	e.real, e.former = f.Path, ""
	e.logged, e.program = f.Logged, f.Program
	for _, path := range e.places() {
		d.watch.directories[path] = e
	}
	if !f.Runnable && !settled {
		e.waiting = true
		d.host.After(settleTime-time.Since(e.since), e.complete)
		return
	}
	if f.Logged && e.pipe == nil {
		e.report(0, e.name, fmt.Errorf("%w; it is not taken up without its logger", f.pipeErr))
		e.retake()
		return
	}
	if f.pipeErr != nil {
		d.messages.warn(e.name, "%v; what is in the log pipe when upkeep ends is lost", f.pipeErr)
	}
	if e.main == nil {
		e.beginMain()
	}
	if e.logged && e.log == nil {
		e.beginLog()
	}
	if e.gone {
		e.left()
	}
}

// again prepares an entry that has gone meanwhile, if an earlier upkeep has left its service running: at the path that
// is known of the directory itself.
func (e *entry) again(path string) bool {
	if path == "" {
		path, e.former = e.former, ""
	}
	if !e.d.host.Crashed || path == "" {
		return false
	}
	e.path = path
	e.prepare()
	return true
}

// complete looks again at a directory that was not complete.
func (e *entry) complete() {
	if e.waiting {
		e.prepare()
	}
}

// superDirs returns where the supervise directories of the service and its logger are; empty for the
// place that the service directory itself gives.
func (e *entry) superDirs() (main, log string) {
	if e.d.State == "" {
		return "", ""
	}
	dir := filepath.Join(e.d.State, e.name)
	return filepath.Join(dir, "supervise"), filepath.Join(dir, "log", "supervise")
}

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

// logPath is the directory that the logger runs in.
func (e *entry) logPath() string { return e.logPathIn(e.path) }

func (e *entry) logPathIn(dir string) string {
	if e.program {
		return dir
	}
	return filepath.Join(dir, "log")
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

// limitsIn is the directory that holds the limits of the service whose directory is given.
func limitsIn(dir string) string { return filepath.Join(dir, "cgroup") }

func (e *entry) setLog(log *supervisor.Supervisor) {
	e.log = log
	if e.main != nil {
		e.main.SetLog(log)
	}
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

// supervisors are those of the service and of its logger, as far as there are any.
func (e *entry) supervisors() (list []*supervisor.Supervisor) {
	for _, s := range [...]*supervisor.Supervisor{e.main, e.log} {
		if s != nil {
			list = append(list, s)
		}
	}
	return list
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

// removed says that the entry is no longer in the root. What runs goes on, as with svscan.
func (e *entry) removed() {
	if e.gone {
		return
	}
	e.gone = true
	switch {
	case e.d.Prune && (e.main != nil || e.log != nil):
		e.left()
		e.follow(func() {})
	case e.main != nil || e.log != nil:
		e.follow(e.left)
	case !e.preparing && !e.again(e.real): // else prepared goes on
		e.forget()
	}
}

// left goes on with a service whose entry is gone.
func (e *entry) left() {
	if e.d.Prune {
		e.d.messages.warn(e.name, "it was removed from %s; it is stopped", e.d.root)
		e.halt()
		return
	}
	at := e.real
	if e.logged && !e.program {
		at += " " + filepath.Join(at, "log")
	}
	e.d.messages.warn(e.name, "it was removed from %s; it is supervised until svc -dx %s", e.d.root, at)
}

func (e *entry) forget() {
	delete(e.d.entries, e.id)
	e.d.register.unneeded()
	e.d.groups.forget(e)
	for _, path := range e.places() {
		e.d.watch.forget(path, e)
	}
	if e.pipe != nil {
		e.pipe.Close()
		e.pipe = nil
	}
}

// halt stops the service and then its logger.
func (e *entry) halt() {
	e.halted = true
	if e.main != nil {
		e.main.Stop()
		return
	}
	e.drain()
}

// drainTime is how long a logger may take to read what is left once it is told of the end.
const drainTime = 3 * time.Second

// drain lets the logger end by itself when it has read all there is; one that does not notice is told
// to.
func (e *entry) drain() {
	if e.pipe == nil {
		return
	}
	if log := e.log; log != nil {
		log.Drain()
		e.d.host.After(drainTime, log.Stop)
	} else {
		e.pipe.Close()
	}
	e.pipe = nil
}

// changed says that something in the service directory, or its logger's, is no longer what it was.
func (e *entry) changed() {
	switch {
	case e.waiting:
		e.complete()
	case e.main != nil:
		e.main.Changed()
		if e.log != nil {
			e.log.Changed()
		}
		if !e.logged {
			e.noteLog()
		}
	}
}

// limitsChanged says that the cgroup directory of the service or of its logger is no longer what it was.
func (e *entry) limitsChanged(dir string) {
	s := e.main
	if dir != limitsIn(e.real) {
		s = e.log
	}
	if s == nil {
		return
	}
	e.d.host.Pool.NewLane().Do(func() {
		e.d.watch.addThere(dir) // it may be new, and what is in it is read when it is watched
		e.d.mail.postLater(func() {
			if s == e.main || s == e.log {
				s.LimitsChanged()
			}
		})
	})
}

// noteLog lets svstat say that there is a log directory which does not count yet. As with svscan, what
// was there when the service was taken up decides.
func (e *entry) noteLog() {
	main, path := e.main, e.path
	e.d.host.Pool.NewLane().Do(func() {
		note := ""
		if logged, _ := fsstate.HasLog(path); logged {
			note = "log/ appeared after the service was taken up: it counts when it is next taken up (svc -dx)"
		}
		e.d.mail.postLater(func() { main.SetNote(note) })
	})
}

// heeds tells whether a change of the directory can mean anything at the moment.
func (e *entry) heeds() bool {
	if e.main == nil {
		return true
	}
	heeds := func(s supervisor.State) bool { return s.Broken || s.Held }
	return heeds(e.main.State()) || e.log != nil && heeds(e.log.State())
}

// died ends everything when the service was essential.
func (e *entry) died(status unix.WaitStatus, essential, wanted bool) {
	if essential && !wanted && e.d.stop == nil {
		e.d.messages.warn(e.name, "it is essential and has ended (%s); everything is stopped", describe(status))
		e.d.stopAll(new(exitCode(status)), e.d.StopTimeout)
	}
}

// exitCode is the exit code that passes on how a process has ended.
func exitCode(s unix.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

func describe(s unix.WaitStatus) string {
	if s.Signaled() {
		return "signal " + unix.SignalName(s.Signal())
	}
	return fmt.Sprintf("exit code %d", s.ExitStatus())
}

// unwrapPath strips the path from an error whose message names it already.
func unwrapPath(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
