package applet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// install makes a link to the running program for each command in a directory, by the program's name if
// that is in the directory, or else by its path. A link that is there already is left as it is. If
// anything else has one of the names, that is reported and nothing is made.
func install(c *call) int {
	if len(c.args) != 1 {
		return c.usage("upkeep: usage: upkeep install DIR")
	}
	self, err := os.Executable()
	if err != nil {
		c.say("upkeep: fatal: cannot tell where this program is: " + err.Error())
		return exitTemporary
	}
	problems := makeLinks(self, c.args[0])
	for _, err := range problems {
		c.say("upkeep: fatal: " + err.Error())
	}
	if len(problems) > 0 {
		return exitTemporary
	}
	return exitOK
}

// makeLinks makes a link to the program self in dir for each command, and returns what kept it from that.
func makeLinks(self, dir string) (problems []error) {
	program, err := os.Stat(self)
	if err != nil {
		return []error{fmt.Errorf("cannot find this program at %s: %w", self, withoutPath(err))}
	}
	there, err := os.Stat(dir)
	if err == nil && !there.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return []error{fmt.Errorf("cannot make links in %s: %w", dir, withoutPath(err))}
	}
	target := self
	if home, err := os.Stat(filepath.Dir(self)); err == nil && os.SameFile(home, there) {
		target = filepath.Base(self) // the directory may be moved, and be seen from elsewhere
	}
	var missing []string
	for _, name := range commands() {
		path := filepath.Join(dir, name)
		if is, err := os.Stat(path); err == nil && os.SameFile(is, program) {
			continue
		}
		switch _, err := os.Lstat(path); {
		case err == nil:
			problems = append(problems, fmt.Errorf("%s is in the way: it is no link to %s", path, self))
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, path)
		default:
			problems = append(problems, fmt.Errorf("cannot look at %s: %w", path, withoutPath(err)))
		}
	}
	if len(problems) > 0 {
		return problems
	}
	for _, path := range missing {
		if err := os.Symlink(target, path); err != nil {
			return []error{fmt.Errorf("cannot make the link %s: %w", path, withoutPath(err))}
		}
	}
	return nil
}

// withoutPath is an error of package os without the path, which our messages name by themselves.
func withoutPath(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
