package applet

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
	_ "unsafe" // for linkname

	"golang.org/x/sys/unix"

	"upkeep/logpipe"
)

// multilog logs its standard input as a script says, until the end of that, or until a TERM. ALRM finishes
// the current log files; HUP, of which daemontools' multilog dies, opens the files by their names again.
func multilog(c *call) int {
	// The kernel gives the first thread the signals. So when a read or a poll of this thread returns, every signal has
	// been caught that was sent before; but for one that another thread, which had one of its own just then, has got
	// and got no processor. What is read all the same is logged.
	runtime.LockOSThread()
	// Nothing that takes time comes before: until then a TERM kills.
	var s logSignals
	requests, err := logpipe.NewRequests(s.settle)
	if err != nil {
		return c.fatal("multilog", "unable to create event descriptor", err)
	}
	s.catch(requests)
	// Another thread hears of them at once.
	runtime.GOMAXPROCS(2)
	// Garbage comes from processors and warnings alone. Without those it is never collected, which takes
	// memory, too.
	debug.SetGCPercent(20)
	// The modes of the files are part of what the directory tells.
	syscall.Umask(0o022)
	// A lost standard error costs alerts, not the log. Nobody reads the channel.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	// A limit on the size of files (XFSZ) makes it pause like a full disk.
	plainSignals(syscall.SIGTERM, syscall.SIGALRM, syscall.SIGPIPE, syscall.SIGXFSZ)

	log, err := logpipe.OpenLog(logpipe.ParseScript(c.args), logpipe.Environment{
		Start:  unix.AT_FDCWD,
		Alerts: c.stderr,
		Warn: func(text string, err error) {
			if err == nil {
				c.say("multilog: warning: " + text)
				return
			}
			c.warn("multilog", text, err)
		},
		Fail:  func(text string, err error) { c.fatal("multilog", text, err) },
		Pause: 5 * time.Second,
	})
	var refused *logpipe.OpenError
	if errors.As(err, &refused) {
		return c.fatal("multilog", refused.Text, refused.Err)
	}
	letGoOfProgram()
	log.Copy(int(c.stdin.Fd()), requests)
	log.Close()
	return exitOK
}

// logSignals makes signals requests.
type logSignals struct {
	requests *logpipe.Requests
	caught   [len(logRequests)]chan os.Signal
}

var logRequests = [...]struct {
	signal  syscall.Signal
	request logpipe.Request
}{
	{syscall.SIGTERM, logpipe.Stop}, {syscall.SIGALRM, logpipe.Rotate}, {syscall.SIGHUP, logpipe.ReopenLogs},
}

// catch starts to catch the signals, until the process ends.
func (s *logSignals) catch(requests *logpipe.Requests) {
	s.requests = requests
	wake := make(chan os.Signal, 1)
	for i, r := range logRequests {
		// In a channel of its own only a signal is dropped that is there already.
		s.caught[i] = make(chan os.Signal, 1)
		signal.Notify(s.caught[i], r.signal)
		signal.Notify(wake, r.signal)
	}
	go func() {
		for range wake {
			requests.Wake()
		}
	}()
}

// waitUntilIdle returns when all signals that have been caught are in their channels. Notify and Stop of one
// more channel would wait for that, too, but leave garbage at each read.
//
//go:linkname waitUntilIdle os/signal.signalWaitUntilIdle
func waitUntilIdle()

// settle asks for what the signals that have been caught stand for.
func (s *logSignals) settle() {
	waitUntilIdle()
	for i, r := range logRequests {
		select {
		case <-s.caught[i]:
			s.requests.Ask(r.request)
		default:
		}
	}
}
