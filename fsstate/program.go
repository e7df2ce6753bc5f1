package fsstate

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// programHead is how much of a program is looked at.
const programHead = 4096

// unexecutable tells what keeps a program in the directory dir from being executed, to be read after
// its name, or "".
func unexecutable(dir, name string) string {
	path := filepath.Join(dir, name)
	if reason := notExecutable(path); reason != "" {
		return reason
	}
	text, err := head(path)
	if err != nil {
		return "" // a program need not be readable
	}
	switch {
	case len(text) == 0:
		return "is empty"
	case bytes.HasPrefix(text, []byte("#!")):
		return badInterpreter(dir, text)
	case bytes.HasPrefix(text, []byte("\x7fELF")), bytes.IndexByte(text, 0) >= 0: // or what the kernel was taught
		return ""
	case bytes.HasPrefix(text, []byte("\ufeff#!")):
		return "begins with a byte order mark, not with #!"
	}
	return "does not begin with #!"
}

// notExecutable looks at what the file is.
func notExecutable(path string) string {
	var st unix.Stat_t
	err := ignoreEINTR(func() error { return unix.Stat(path, &st) })
	if err == unix.ENOENT {
		if to, lerr := os.Readlink(path); lerr == nil {
			return fmt.Sprintf("is a link to %s, which is not there", to)
		}
		return "is missing"
	}
	if err != nil {
		return fmt.Sprintf("cannot be looked at: %v", err)
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return "is a directory"
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return "is not a regular file"
	case st.Mode&0o111 == 0:
		return "is not executable"
	case unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS) == nil:
		return ""
	}
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOEXEC != 0 {
		return "is on a file system that is mounted noexec"
	}
	return "may not be executed by this user"
}

func head(path string) ([]byte, error) {
	fd, err := open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return readInto(fd, make([]byte, programHead))
}

// badInterpreter looks at a script's first line.
func badInterpreter(dir string, text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if bytes.HasSuffix(line, []byte("\r")) {
		return fmt.Sprintf("has DOS line ends: its first line is %q", line)
	}
	words := strings.Fields(string(line[2:]))
	if len(words) == 0 {
		return "names nothing after #!"
	}
	name := words[0]
	if reason := notExecutable(within(dir, name)); reason != "" {
		return fmt.Sprintf("needs %s, which %s", name, reason)
	}
	if filepath.Base(name) != "env" || len(words) < 2 || strings.HasPrefix(words[1], "-") || strings.Contains(words[1], "=") {
		return ""
	}
	name = words[1]
	if strings.Contains(name, "/") {
		if reason := notExecutable(within(dir, name)); reason != "" {
			return fmt.Sprintf("needs %s, which %s", name, reason)
		}
		return ""
	}
	for _, place := range filepath.SplitList(os.Getenv("PATH")) {
		if notExecutable(within(dir, filepath.Join(place, name))) == "" {
			return ""
		}
	}
	return fmt.Sprintf("needs %s, which is not in PATH", name)
}
