package applet

import (
	"errors"
	"os/signal"
	"strings"
	"syscall"
)

const svcUsage = "svc options: + kill process group, = kill parent process, L kill log, l kill main, " +
	"u up, d down, o once, x exit, p pause, c continue, h hup, a alarm, i interrupt, t term, k kill, " +
	"q quit, 1 SIGUSR1, 2 SIGUSR2, w SIGWINCH"

// svcMax is the most that daemontools-encore's svc sends.
const svcMax = 32

// svc sends commands to services. It doesn't wait for their effect, and its exit code doesn't tell
// of services that could not be reached: daemontools' scripts rely on both.
func svc(c *call) int {
	// A service that ends while it is written to is an error to report, whatever stderr is.
	signal.Ignore(syscall.SIGPIPE)

	g := &getopt{prog: c.argv0, letters: "+=Lludopchaitkwxq12", args: c.args, stderr: c.stderr}
	var letters []byte
	for {
		letter, _, ok := g.next()
		if !ok {
			break
		}
		if letter == badOption {
			return c.usage(svcUsage)
		}
		letters = append(letters, letter)
	}
	commands, err := svcCommands(letters)
	if err != nil {
		c.say("svc: fatal: " + err.Error())
		return exitTemporary
	}
	return c.control(g.args, commands)
}

// control writes commands to each of the services.
func (c *call) control(dirs []string, commands []byte) (code int) {
	return c.inEach("svc", dirs, func(dir string, err error) {
		if err != nil {
			c.warn("svc", "unable to chdir to "+dir, err)
			return
		}
		c.controlHere(dir, commands)
	})
}

// svcCommands turns the letters of the command line into the bytes to send: the same, in order, of
// which the first of several counts.
//
// Where a letter is used that only daemontools-encore knows how to address with (L l + =), they are as
// encore sends them: first an l, and after each L or l a command may come again. Otherwise they are
// daemontools': encore's leading l means nothing to its own supervise there, but is a reload to s6's.
func svcCommands(letters []byte) ([]byte, error) {
	var data []byte
	if strings.ContainsAny(string(letters), "Ll+=") {
		data = []byte("l")
	}
	part := len(data) // where the current addressee's commands start
	for _, letter := range letters {
		if len(data) >= svcMax {
			return nil, errors.New("too many options")
		}
		switch {
		case letter == 'L' || letter == 'l':
			data = append(data, letter)
			part = len(data)
		case strings.IndexByte(string(data[part:]), letter) < 0:
			data = append(data, letter)
		}
	}
	return data, nil
}

// controlHere writes commands to the service that is the working directory.
func (c *call) controlHere(dir string, commands []byte) {
	name, err := superviseName()
	if err != nil {
		c.warn("svc", "unable to setup control path for "+dir, err)
		return
	}
	fd, err := openFile(name+"/control", syscall.O_WRONLY)
	if err == syscall.ENXIO {
		c.say("svc: warning: unable to control " + dir + ": supervise not running")
		return
	}
	if err != nil {
		c.warn("svc", "unable to control "+dir, err)
		return
	}
	defer syscall.Close(fd)
	syscall.SetNonblock(fd, false) // a supervise that is busy is waited for
	for len(commands) > 0 {
		n, err := syscall.Write(fd, commands)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			c.warn("svc", "error writing commands to "+dir, err)
			return
		}
		commands = commands[n:]
	}
}
