package logpipe

import (
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// lineHead is how much of a line the actions of a script see, its stamp included.
const lineHead = 1000

// A Log does with lines what a Script says. Between two calls of its methods everything it was given is
// on file, except the start of an unfinished line that the script has not seen yet, of less than lineHead
// bytes.
//
// It holds its directories open, so it needs neither a working directory nor a umask: one process can have
// any number of Logs. A Log belongs to one goroutine, which its methods may hold up for as long as a disk
// is full or a processor runs: it keeps every line, whatever fails.
type Log struct {
	env         Environment
	script      Script
	directories []*directory
	statusFiles []*statusFile
	sinks       []*sink // one for each directory, or one for all
	plain       bool    // every line goes to every directory

	space []byte // what is read has its place in it, from ahead on; before that is the sink for all
	ahead int

	stamp   []byte // what a line starts with that starts now
	head    []byte // the unfinished line, until the script sees it
	longer  bool   // the script has seen a line of which more is to come
	alert   []byte // for reuse
	arrived func() time.Time
}

// An Environment is what a Log needs of its process.
type Environment struct {
	// Start is the directory that names are relative to: a descriptor, or unix.AT_FDCWD.
	Start int
	// Alerts gets the lines that action e selects, one with each Write.
	Alerts io.Writer
	// Warn reports what the Log tries again after a pause. An err of nil has no place in the message.
	Warn func(text string, err error)
	// Fail reports why a processor could not be run, before the warning that it failed.
	Fail func(text string, err error)
	// Pause is the time between two tries.
	Pause time.Duration
}

// An OpenError is why a Log could not be opened. Text is that of daemontools' diagnostic.
type OpenError struct {
	Text string
	Err  error
}

func (e *OpenError) Error() string { return fmt.Sprintf("%s: %v", e.Text, e.Err) }

func (e *OpenError) Unwrap() error { return e.Err }

// OpenLog opens the files of a script and brings its directories, in their order, from the state that a Log
// before left them in to that of a new one.
func OpenLog(script Script, env Environment) (*Log, error) {
	l := &Log{env: env, script: script, plain: script.unconditional(), arrived: time.Now}
	if err := l.open(); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

func (l *Log) open() error {
	// In this order, as the first that fails is reported.
	for _, path := range l.script.statusFiles {
		f, err := openStatusFile(&l.env, path)
		if err != nil {
			return err
		}
		l.statusFiles = append(l.statusFiles, f)
	}
	for _, s := range l.script.directories {
		d, err := openDirectory(&l.env, s)
		if err != nil {
			return err
		}
		l.directories = append(l.directories, d)
	}
	l.head = make([]byte, 0, lineHead)
	if l.plain {
		l.ahead = stampRoom
		l.space = make([]byte, stampRoom+blockSize)
		l.sinks = []*sink{newSink(l.space, l.directories...)}
		return nil
	}
	l.space = make([]byte, blockSize)
	for _, d := range l.directories {
		l.sinks = append(l.sinks, newSink(make([]byte, ownBuffer), d))
	}
	return nil
}

// Rotate finishes the current file of every directory, unless it is empty. An unfinished line that the
// script has not seen goes to the new file.
func (l *Log) Rotate() {
	l.flush()
	for _, d := range l.directories {
		if d.length > 0 {
			d.rotate()
		}
	}
}

// Reopen opens every file by its name again, in case it has been moved or removed.
func (l *Log) Reopen() {
	l.flush()
	for _, d := range l.directories {
		d.reopen()
	}
	for _, f := range l.statusFiles {
		f.reopen()
	}
}

// Close finishes an unfinished line and leaves the directories marked as closed in good order.
func (l *Log) Close() {
	l.finishLine()
	l.flush()
	for _, d := range l.directories {
		d.markClosed()
	}
	l.release()
}

// release lets go of all files, without a mark.
func (l *Log) release() {
	for _, d := range l.directories {
		d.release()
	}
	for _, f := range l.statusFiles {
		unix.Close(f.fd)
	}
	l.directories, l.statusFiles, l.sinks = nil, nil, nil
}
