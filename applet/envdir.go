package applet

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
)

// envdir runs a program with the variables that the files of a directory are named and hold. Wrong usage is
// 111, too. Where a name leads nowhere (a dangling link, a file that has just been removed), there is
// no change: the original sets the value of the file before.
func envdir(c *call) int {
	const usage = "envdir: usage: envdir [ -p prefix ] dir child"
	prefix, operands, ok := prefixOption(c)
	if !ok || len(operands) < 2 {
		c.usage(usage)
		return exitTemporary
	}
	dir := operands[0]
	start, err := openFile(".", syscall.O_RDONLY)
	if err != nil {
		return c.fatal("envdir", "unable to switch to current directory", err)
	}
	defer syscall.Close(start)
	if err := syscall.Chdir(dir); err != nil {
		return c.fatal("envdir", "unable to switch to directory "+dir, err)
	}
	names, err := namesHere()
	if err != nil {
		return c.fatal("envdir", "unable to read directory "+dir, err)
	}
	var changes []string
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			continue
		}
		content, found, err := readAll(name)
		if err != nil {
			return c.fatal("envdir", "unable to read "+dir+"/"+name, err)
		}
		if found {
			changes = append(changes, fileChange(prefix+name, content))
		}
	}
	if err := syscall.Fchdir(start); err != nil {
		return c.fatal("envdir", "unable to switch to starting directory", err)
	}
	return c.chain("envdir", operands[1:], changed(environ(), changes))
}

// fileChange is the change that the file name with this content stands for.
func fileChange(name string, content []byte) string {
	if len(content) == 0 {
		return name
	}
	value, _, _ := bytes.Cut(content, []byte("\n"))
	value = bytes.TrimRight(value, " \t")
	return name + "=" + strings.ReplaceAll(string(value), "\x00", "\n")
}

// namesHere lists the working directory in the order of the file system: two names can stand for one
// variable. In one that has been removed there are none.
func namesHere() ([]string, error) {
	f, err := os.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if errors.Is(err, syscall.ENOENT) {
		err = nil
	}
	return names, err
}

// prefixOption parses the options of envdir and envini.
func prefixOption(c *call) (prefix string, operands []string, ok bool) {
	g := &getopt{prog: c.argv0, letters: "p:", args: c.args, stderr: c.stderr}
	for {
		letter, value, more := g.next()
		if !more {
			return prefix, g.args, true
		}
		if letter == badOption {
			return "", nil, false
		}
		prefix = value
	}
}
