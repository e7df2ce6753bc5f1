package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/logpipe"
)

// settleTime is how long a new directory without an executable run may take to become complete.
const settleTime = time.Second

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
