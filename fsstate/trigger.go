package fsstate

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Trigger is daemontoolsx's file trigger: the path of a file that must name a living process before
// the service is started. That is the supervise/status of another service, if it is called status, or
// else a pid file, of which the first number counts. The empty Trigger waits for nothing.
type Trigger string

// triggerMax is the length of the longest path, with a newline.
const triggerMax = unix.PathMax + 1

// trigger reads the file of that name. Its first line counts, without blanks at its end. A relative
// path begins in the service directory, where daemontoolsx's supervise works.
func (l *listing) trigger(bad *problems) Trigger {
	if !l.there.has(fileTrigger) {
		return ""
	}
	const instead = "the start waits for nothing"
	line, ok := l.line(fileTrigger, make([]byte, triggerMax), instead, bad)
	if !ok {
		return ""
	}
	path, reason := parseTrigger(line)
	if reason != "" {
		bad.add(fileTrigger, instead, "%s", reason)
		return ""
	}
	return Trigger(within(l.path, path))
}

func parseTrigger(line []byte) (path, reason string) {
	path = string(bytes.TrimRight(line, " \t\r\v\f"))
	switch {
	case path == "":
		return "", "names no file"
	case len(path) >= unix.PathMax:
		return "", "holds a path that is too long"
	case bytes.IndexByte(line, 0) >= 0:
		return "", fmt.Sprintf("holds %q, which is no path", path)
	}
	return path, ""
}

// Check looks at the file once. It returns the process that is waited for, or 0 and what keeps the
// service waiting, to be read after the Trigger's path.
func (t Trigger) Check() (pid int, waiting string) {
	if t == "" {
		return 0, ""
	}
	fd, err := open(string(t), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err == unix.ENOENT {
		return 0, "does not exist"
	}
	if err != nil {
		return 0, fmt.Sprintf("cannot be read: %v", err)
	}
	defer unix.Close(fd)
	var buf [pidFileMax]byte
	err = regular(fd)
	var text []byte
	if err == nil {
		text, err = readInto(fd, buf[:])
	}
	if err != nil {
		return 0, fmt.Sprintf("cannot be read: %v", err)
	}
	pid = t.pid(text)
	switch {
	case pid == 0:
		return 0, "names no process"
	case !alive(pid):
		return 0, fmt.Sprintf("names process %d, which is gone", pid)
	}
	return pid, ""
}

// pidFileMax is more than a status or a pid takes.
const pidFileMax = 64

// pid is the process that the file names, 0 for none. One that only runs the finish script of a service
// is none.
func (t Trigger) pid(text []byte) int {
	if !t.isStatus() {
		return parsePid(text)
	}
	s, err := ParseStatus(text)
	switch {
	case err == nil && s.Phase == PhaseFinish:
		return 0
	case err == nil:
		return s.Pid
	case len(text) >= 16: // all that it takes for daemontoolsx
		return int(binary.LittleEndian.Uint32(text[12:]))
	}
	return 0
}

// parsePid reads the number at the beginning of a pid file.
func parsePid(text []byte) int {
	text = bytes.TrimLeft(text, " \t")
	end := 0
	for end < len(text) && '0' <= text[end] && text[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(string(text[:end]), 10, 64)
	if err != nil || n > math.MaxInt32 {
		return 0
	}
	return int(n)
}

// alive tells whether there is a process of that number, anyone's.
func alive(pid int) bool {
	if pid <= 0 || pid > math.MaxInt32 {
		return false
	}
	err := unix.Kill(pid, 0)
	return err == nil || err == unix.EPERM
}

func (t Trigger) isStatus() bool { return filepath.Base(string(t)) == "status" }

// Service returns the service directory whose supervise/status the Trigger waits for. ok is false where
// it waits for something else.
func (t Trigger) Service() (dir string, ok bool) {
	super := filepath.Dir(string(t))
	if !t.isStatus() || filepath.Base(super) != "supervise" {
		return "", false
	}
	return filepath.Dir(super), true
}

// Watch returns the directory to watch for what Check would see: the one that the file is in, symbolic
// links followed, or the nearest one above it that exists. It is to be asked for again after a change.
// A link on the way that is led elsewhere is not noticed: Check finds that when it is called for another
// reason.
func (t Trigger) Watch() string { return nearest(string(t)) }

// nearest is the directory that has, or will have, what path leads to in it, or above that the first one
// that exists.
func nearest(path string) string {
	for range 100 { // more than there are links on any path
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if _, isDir, _ := Identify(dir); err != nil || !isDir { // it is still to come itself
			path = filepath.Dir(path)
			continue
		}
		target, err := os.Readlink(filepath.Join(dir, filepath.Base(path)))
		if err != nil {
			return dir
		}
		path = within(dir, target)
	}
	return "/"
}
