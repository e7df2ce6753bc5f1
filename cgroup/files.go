package cgroup

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ignoreEINTR calls again what a signal has interrupted.
func ignoreEINTR(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

func open(path string, flags int) (fd int, err error) {
	err = ignoreEINTR(func() (err error) {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

func read(fd int, buf []byte) (n int, err error) {
	err = ignoreEINTR(func() (err error) {
		n, err = unix.Read(fd, buf)
		return err
	})
	return n, err
}

// readFile returns what a file holds. (os.ReadFile would ask for each file whether it can be polled.)
func readFile(path string) ([]byte, error) {
	fd, err := open(path, unix.O_RDONLY)
	if err != nil {
		return nil, &OpError{"open", path, err}
	}
	defer unix.Close(fd)
	buf := make([]byte, 0, 512)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := read(fd, buf[len(buf):cap(buf)])
		if err != nil {
			return nil, &OpError{"read", path, err}
		}
		if n == 0 {
			return buf, nil
		}
		buf = buf[:len(buf)+n]
	}
}

// writeFile writes text to an interface file in one piece, as the kernel wants it.
func writeFile(path, text string) error {
	fd, err := open(path, unix.O_WRONLY)
	if err != nil {
		return &OpError{"open", path, err}
	}
	defer unix.Close(fd)
	err = ignoreEINTR(func() error {
		_, err := unix.Write(fd, []byte(text))
		return err
	})
	if err != nil {
		return &OpError{"write to", path, err}
	}
	return nil
}

func mkdir(path string) error {
	return ignoreEINTR(func() error { return unix.Mkdir(path, 0o755) })
}

func rmdir(path string) error {
	return ignoreEINTR(func() error { return unix.Rmdir(path) })
}

func exists(path string) bool {
	return ignoreEINTR(func() error { return unix.Access(path, unix.F_OK) }) == nil
}

// readPids returns the processes that a cgroup.procs lists. Those that this PID namespace cannot see,
// which are listed as 0, are left out.
func readPids(path string) ([]int, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	pids := make([]int, 0, bytes.Count(text, []byte("\n")))
	for line := range bytes.Lines(text) {
		if pid, err := strconv.Atoi(string(bytes.TrimSpace(line))); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// value finds the number of a key in a file of lines like "populated 1".
func value(text []byte, key string) (n uint64, ok bool) {
	for line := range bytes.Lines(text) {
		k, v, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		if string(k) == key {
			n, err := strconv.ParseUint(string(v), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// subgroups lists the groups directly in the one at path.
func subgroups(path string) []string {
	// A directory has two links and one for each directory in it. To read it costs more: it has some fifty
	// files.
	var st unix.Stat_t
	if err := ignoreEINTR(func() error { return unix.Stat(path, &st) }); err != nil || st.Nlink == 2 {
		return nil
	}
	entries, _ := os.ReadDir(path)
	var paths []string
	for _, e := range entries {
		if e.Type() == fs.ModeDir {
			paths = append(paths, filepath.Join(path, e.Name()))
		}
	}
	return paths
}

// each calls f for the group at path and all groups in it, the inner ones first.
func each(path string, f func(path string)) {
	for _, sub := range subgroups(path) {
		each(sub, f)
	}
	f(path)
}
