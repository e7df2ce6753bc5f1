package fsstate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An ID is what a directory is, whatever it is called.
type ID struct{ Dev, Ino uint64 }

// Identify follows symbolic links and tells what path is.
func Identify(path string) (id ID, isDir bool, err error) {
	var st unix.Stat_t
	if err := ignoreEINTR(func() error { return unix.Stat(path, &st) }); err != nil {
		return ID{}, false, err
	}
	return ID{uint64(st.Dev), st.Ino}, st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

// locate finds out where the service directory and its supervise directory are.
func locate(path, superDir string) (*Dir, error) {
	real, err := enter(path)
	if err != nil {
		return nil, &OpError{"chdir to", path, errnoOf(err)}
	}
	d := &Dir{path: real, super: superDir, lock: -1, control: -1, ok: -1, superFD: -1}
	if d.super == "" {
		d.super = SuperviseDir(os.Getenv, real)
	}
	d.elsewhere = filepath.Dir(d.super) != real
	return d, nil
}

// enter is the absolute path of a directory that we may enter, without symbolic links.
func enter(path string) (string, error) {
	fd, err := open(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if err := unix.Faccessat(fd, ".", unix.X_OK, unix.AT_EACCESS); err != nil {
		return "", err
	}
	return realPath(fd, path)
}

// realPath is the absolute path of a directory that is open, without symbolic links.
func realPath(fd int, path string) (string, error) {
	// The kernel knows, and takes one call where looking at each component takes many.
	var buf [unix.PathMax]byte
	n, err := unix.Readlink("/proc/thread-self/fd/"+strconv.Itoa(fd), buf[:])
	if err == nil && n < len(buf) && buf[0] == '/' {
		real := string(buf[:n])
		if !strings.HasSuffix(real, " (deleted)") {
			return real, nil
		}
	}
	real, err := filepath.EvalSymlinks(path) // no /proc
	if err != nil {
		return "", errnoOf(err)
	}
	return filepath.Abs(real)
}

// MakeSuper makes the supervise directory that Take would use and returns its path.
func MakeSuper(path, superDir string) (string, error) {
	d, err := locate(path, superDir)
	if err != nil {
		return "", err
	}
	fd, err := d.makeSuper()
	if err == nil {
		unix.Close(fd)
	}
	return d.super, err
}

// makeSuper makes the supervise directory where it is missing, and opens it. Where it is a symbolic link to
// nothing, as runit's users have it on read-only roots, the link's target is made.
func (d *Dir) makeSuper() (fd int, err error) {
	made := unix.Mkdir(d.super, 0o700)
	d.fresh = made == nil
	if made == unix.EEXIST {
		made = d.makeTarget()
	}
	if made != nil {
		err := &OpError{"make", d.super, made}
		if _, serr := os.Lstat(d.super); errors.Is(serr, unix.ENOENT) {
			return -1, &Unrecorded{err} // nobody holds the lock in a directory that does not exist
		}
		return -1, err
	}
	fd, err = open(d.super, unix.O_DIRECTORY|unix.O_PATH, 0)
	var st unix.Stat_t
	if err == nil {
		if err = unix.Fstat(fd, &st); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return -1, &OpError{"use", d.super, err}
	}
	d.id = ID{uint64(st.Dev), st.Ino}
	return fd, nil
}

// makeTarget makes what the supervise directory is a link to, if it is one. Below /run, which is empty after
// every boot, so are the directories above it: Debian's runit makes those of its packages' services.
func (d *Dir) makeTarget() error {
	target, err := os.Readlink(d.super)
	if err != nil {
		return nil
	}
	d.elsewhere = true
	target = within(filepath.Dir(d.super), target)
	err = unix.Mkdir(target, 0o700)
	if err == unix.ENOENT && strings.HasPrefix(filepath.Clean(target), "/run/") {
		os.MkdirAll(filepath.Dir(target), 0o755)
		err = unix.Mkdir(target, 0o700)
	}
	if err != unix.EEXIST {
		return err
	}
	return nil
}

// openSuper opens the supervise directory, wherever it has been moved since: the kernel knows the
// path of the lock that is held in it.
func (d *Dir) openSuper() (int, error) {
	fd, err := d.openSame(d.super)
	if err == nil || d.lock < 0 {
		return fd, err
	}
	lock, lerr := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", d.lock))
	if lerr != nil {
		return -1, err
	}
	moved := filepath.Dir(lock)
	if fd, merr := d.openSame(moved); merr == nil {
		if !d.elsewhere {
			d.path = filepath.Dir(moved)
		}
		d.super = moved
		return fd, nil
	}
	return -1, err
}

func (d *Dir) openSame(path string) (int, error) {
	fd, err := open(path, unix.O_DIRECTORY|unix.O_PATH, 0)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || (ID{uint64(st.Dev), st.Ino}) != d.id {
		unix.Close(fd)
		return -1, unix.ENOENT
	}
	return fd, nil
}
