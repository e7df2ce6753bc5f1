package applet

import (
	"io"
	"os"
	"path/filepath"
	"syscall"

	"upkeep/fsstate"
)

// say writes one line to standard error, with one write, so that lines of several processes don't mix.
func (c *call) say(line string) { io.WriteString(c.stderr, line+"\n") }

// usage reports wrong usage; line is the whole message.
func (c *call) usage(line string) int {
	c.say(line)
	return exitPermanent
}

// fatal reports what ends the command prog.
func (c *call) fatal(prog, text string, err error) int {
	c.say(prog + ": fatal: " + text + ": " + errText(err))
	return exitTemporary
}

// warn reports what the command prog goes on after.
func (c *call) warn(prog, text string, err error) {
	c.say(prog + ": warning: " + text + ": " + errText(err))
}

// openFile is open(2), started anew where a signal interrupts it. It neither blocks nor leaves the
// descriptor to children.
func openFile(path string, flags int) (fd int, err error) {
	for {
		fd, err = syscall.Open(path, flags|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// hasReader tells whether the FIFO path has a reader: it returns nil if so, ENXIO if not.
func hasReader(path string) error {
	fd, err := openFile(path, syscall.O_WRONLY)
	if err == nil {
		syscall.Close(fd)
	}
	return err
}

// readOnce reads at most size bytes of the file path, with one read, as every client of the family
// does: a writer that replaces a file's bytes in place writes them with one write.
func readOnce(path string, size int) (content []byte, opened bool, err error) {
	fd, err := openFile(path, syscall.O_RDONLY)
	if err != nil {
		return nil, false, err
	}
	defer syscall.Close(fd)
	content = make([]byte, size)
	for {
		n, err := syscall.Read(fd, content)
		if err != syscall.EINTR {
			return content[:max(n, 0)], true, err
		}
	}
}

// superviseName returns the name of the supervise directory of the service that is the working
// directory.
func superviseName() (string, error) {
	cwd, err := syscall.Getwd()
	name := fsstate.SuperviseName(os.Getenv, cwd)
	if err != nil && filepath.IsAbs(name) {
		return "", err
	}
	return name, nil
}

// inEach calls do with each service directory as the working directory, or with the error of going
// there, and comes back after each. Relative names are all relative to the directory that the command
// was called in.
func (c *call) inEach(prog string, dirs []string, do func(dir string, chdir error)) (code int) {
	start, err := openFile(".", syscall.O_RDONLY)
	if err != nil {
		return c.fatal(prog, "unable to open current directory", err)
	}
	defer syscall.Close(start)
	for _, dir := range dirs {
		do(dir, syscall.Chdir(dir))
		if err := syscall.Fchdir(start); err != nil {
			return c.fatal(prog, "unable to set directory", err)
		}
	}
	return exitOK
}
