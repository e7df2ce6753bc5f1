package fsstate

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A listing is a service directory as it was listed once: which of the files that mean something may be
// there, and what they are. Only these are looked at any further, all in the directory that was listed,
// whatever becomes of its path.
type listing struct {
	path  string
	fd    int // of the directory, or -1 where it could not be opened
	there fileSet
	kinds [files]byte // DT_REG and so on; DT_UNKNOWN for what is only presumed to be there
}

// listingMax is how many bytes of a directory's entries are looked at. One that is full of other things
// is not gone through before every start.
const listingMax = 64 << 10

// list lists the directory at path. One that cannot be listed may hold anything.
func list(path string) listing {
	l := listing{path: path, fd: -1}
	fd, err := open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	switch {
	case err == unix.ENOENT, err == unix.ENOTDIR, err == unix.ELOOP:
		return l
	case err != nil:
		if unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS) == nil {
			l.there = allFiles
		}
		return l
	}
	l.fd = fd
	e := entries{fd: fd}
	for e.next() && e.listed <= listingMax {
		if f, ok := lookupFile(e.name()); ok {
			l.there |= 1 << f
			l.kinds[f] = e.kind()
		}
	}
	if e.err != nil || e.listed > listingMax {
		l.there, l.kinds = allFiles, [files]byte{}
	}
	return l
}

func (l *listing) close() {
	if l.fd >= 0 {
		unix.Close(l.fd)
	}
}

// at is how a system call with a directory descriptor finds f.
func (l *listing) at(f file) (dirfd int, path string) {
	if l.fd < 0 {
		return unix.AT_FDCWD, filepath.Join(l.path, f.String())
	}
	return l.fd, f.String()
}

// mode is what f leads to, 0 for nothing.
func (l *listing) mode(f file) uint32 {
	if !l.there.has(f) {
		return 0
	}
	var st unix.Stat_t
	dirfd, path := l.at(f)
	if ignoreEINTR(func() error { return unix.Fstatat(dirfd, path, &st, 0) }) != nil {
		return 0
	}
	return st.Mode
}

// exists tells whether there is an f, whatever it is. A link to nothing is none.
func (l *listing) exists(f file) bool {
	switch {
	case !l.there.has(f):
		return false
	case l.kinds[f] == unix.DT_UNKNOWN, l.kinds[f] == unix.DT_LNK:
		return l.mode(f) != 0
	}
	return true
}

// isDir tells whether f is a directory.
func (l *listing) isDir(f file) bool {
	switch {
	case !l.there.has(f):
		return false
	case l.kinds[f] == unix.DT_UNKNOWN, l.kinds[f] == unix.DT_LNK:
		return l.mode(f)&unix.S_IFMT == unix.S_IFDIR
	}
	return l.kinds[f] == unix.DT_DIR
}

// executable tells whether f is a regular file that one of the permission bits allows to be executed.
func (l *listing) executable(f file, bits uint32) bool {
	mode := l.mode(f)
	return mode&unix.S_IFMT == unix.S_IFREG && mode&bits != 0
}

var errNotRegular = errors.New("it is not a regular file")

// open opens f, which must be a regular file, for reading. It never waits for a FIFO's writer.
func (l *listing) open(f file) (int, error) {
	if !l.there.has(f) {
		return -1, unix.ENOENT
	}
	dirfd, path := l.at(f)
	fd, err := openat(dirfd, path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err == unix.ENXIO { // a socket
		err = errNotRegular
	}
	if err != nil || l.kinds[f] == unix.DT_REG {
		return fd, err
	}
	if err := regular(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// regular is nil for the descriptor of a regular file.
func regular(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errNotRegular
	}
	return nil
}

// read reads f from its beginning into buf.
func (l *listing) read(f file, buf []byte) ([]byte, error) {
	fd, err := l.open(f)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return readInto(fd, buf)
}

// readInto reads once. Of a regular file that is all there is, or as much as buf takes.
func readInto(fd int, buf []byte) ([]byte, error) {
	n := 0
	err := ignoreEINTR(func() (err error) {
		n, err = unix.Read(fd, buf)
		return err
	})
	return buf[:max(n, 0)], err
}
