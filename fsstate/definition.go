package fsstate

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A Definition is what a service directory asks for.
type Definition struct {
	Down        bool          // down: not wanted up when it is taken up
	NoSetsid    bool          // no-setsid (daemontools-encore): runs in the daemon's session
	Essential   bool          // essential: its end is the end of everything
	KillTree    bool          // kill-tree: nothing of an earlier run may live beside the next
	Backoff     time.Duration // backoff: the longest pause between starts; 0 means always one second
	TimeoutKill time.Duration // timeout-kill (s6): from the stop signal to KILL; 0 means never
	Remote      bool          // executing run touches a file system that can hang
}

// Read reads the Definition of the service directory at path. The error, if there is one, joins one
// *ValueError for each file whose value is not usable; its default holds then.
func Read(path string) (Definition, error) {
	exists := func(name string) bool {
		var st unix.Stat_t
		return unix.Stat(filepath.Join(path, name), &st) == nil
	}
	var bad [2]error
	d := Definition{
		Down:      exists("down"),
		NoSetsid:  exists("no-setsid"),
		Essential: exists("essential"),
		KillTree:  exists("kill-tree"),
		Remote:    remote(path),
	}
	d.Backoff, bad[0] = readDuration(path, "backoff", time.Second)
	d.TimeoutKill, bad[1] = readDuration(path, "timeout-kill", time.Millisecond)
	return d, errors.Join(bad[:]...)
}

// A ValueError is a file of a service directory that does not hold what it should.
type ValueError struct {
	File   string
	Reason string
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("%s %s; it is ignored", e.File, e.Reason)
}

// readDuration reads a file that holds a decimal number of units. As with s6, the number ends at the
// first newline and has at most eleven digits; without the file the duration is 0.
func readDuration(dir, name string, unit time.Duration) (time.Duration, error) {
	text, err := readHead(filepath.Join(dir, name), 12)
	if errors.Is(err, unix.ENOENT) {
		return 0, nil
	}
	if err != nil {
		return 0, &ValueError{name, "cannot be read: " + err.Error()}
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	n, err := strconv.ParseUint(string(line), 10, 32)
	if err != nil || len(line) > 11 {
		return 0, &ValueError{name, fmt.Sprintf("holds %q, which is not a number from 0 to 4294967295", line)}
	}
	return time.Duration(n) * unit, nil
}

// readHead reads at most size bytes of a regular file.
func readHead(path string, size int) ([]byte, error) {
	fd, err := open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("it is not a regular file")
	}
	buf := make([]byte, size)
	var n int
	err = ignoreEINTR(func() (err error) {
		n, err = unix.Read(fd, buf)
		return err
	})
	return buf[:max(n, 0)], err
}

// readShort reads a file that is most often short, and never longer than a megabyte.
func readShort(path string) (text []byte, err error) {
	for size := 512; size <= 1<<20; size <<= 11 {
		if text, err = readHead(path, size); err != nil || len(text) < size {
			return text, err
		}
	}
	return nil, unix.EFBIG
}

// HasLog tells whether the service directory at path has a log directory beside it. As in
// daemontools-encore only a directory counts: a file of that name belongs to another way of logging.
func HasLog(path string) (bool, error) {
	_, isDir, err := Identify(filepath.Join(path, "log"))
	if err == unix.ENOENT {
		return false, nil
	}
	return isDir, err
}
