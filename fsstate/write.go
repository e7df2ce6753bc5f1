package fsstate

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

func (d *Dir) replace(super int, name string, content []byte) error {
	if d.ok < 0 && holds(super, name, content) {
		return nil // taken up where another upkeep has left it
	}
	tmp := name + ".new"
	err := writeAt(super, tmp, content)
	if err == nil {
		err = unix.Renameat(super, tmp, super, name)
	}
	if err != nil {
		return &Unrecorded{&OpError{"write", filepath.Join(d.super, name), err}}
	}
	return nil
}

// holds tells whether a file has that content.
func holds(dirfd int, name string, content []byte) bool {
	fd, err := openat(dirfd, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var buf [1024]byte
	n, err := unix.Read(fd, buf[:])
	return err == nil && string(buf[:n]) == string(content)
}

// rewrite writes a line over a file, or makes one of it.
func (d *Dir) rewrite(super int, name string, line []byte) error {
	err := overwrite(super, name, line)
	if err == unix.ENOENT {
		err = createAt(super, name, line)
	}
	if err != nil {
		err = d.replace(super, name, line)
	}
	return err
}

// inPlace is how much of a file is written at once, whenever this process is killed: within a page.
const inPlace = 4096

// overwrite writes a line over what a file holds. That needs no space on a full disk, and makes no file that takes
// the place of another.
func overwrite(dirfd int, name string, line []byte) error {
	if len(line) > inPlace {
		return unix.EFBIG
	}
	fd, err := openat(dirfd, name, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	n, err := unix.Pwrite(fd, line, 0)
	switch {
	case err != nil:
		return err
	case n < len(line):
		return unix.ENOSPC
	case st.Size > int64(n): // what stays behind the line, nobody reads until it is cut off
		return unix.Ftruncate(fd, int64(n))
	}
	return nil
}

func writeAt(dirfd int, name string, content []byte) error {
	return writeTo(dirfd, name, unix.O_TRUNC, content)
}

// createAt fails if there is a file of that name, and leaves none behind that is not whole.
func createAt(dirfd int, name string, content []byte) error {
	err := writeTo(dirfd, name, unix.O_EXCL, content)
	if err != nil && err != unix.EEXIST {
		unix.Unlinkat(dirfd, name, 0)
	}
	return err
}

func writeTo(dirfd int, name string, how int, content []byte) error {
	fd, err := openat(dirfd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_NONBLOCK|how, 0o644)
	if err != nil {
		return err
	}
	n, err := unix.Write(fd, content)
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err == nil && n < len(content) {
		err = unix.ENOSPC
	}
	return err
}
