package fsstate

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openFIFO opens a FIFO without blocking and makes it where it is missing. Anything else of that
// name is put aside: it would be no channel to anyone.
func (d *Dir) openFIFO(super int, name string, mode int) (int, error) {
	return openFIFOAt(super, d.super, name, mode)
}

// openFIFOAt does so in the directory at path, which is open as super.
func openFIFOAt(super int, path, name string, mode int) (int, error) {
	failed := func(op string, err error) (int, error) {
		return -1, &OpError{op, filepath.Join(path, name), err}
	}
	var st unix.Stat_t
	for try := 0; ; try++ {
		made := unix.Mknodat(super, name, unix.S_IFIFO|0o600, 0)
		if made != nil && made != unix.EEXIST {
			// On a read-only file system one may be there.
			if unix.Fstatat(super, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
				return failed("make", made)
			}
		}
		fd, err := openat(super, name, mode|unix.O_NONBLOCK, 0)
		if err == nil {
			if made == nil {
				return fd, nil
			}
			if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
				return fd, nil
			}
			unix.Close(fd)
		} else if err != unix.EISDIR && err != unix.ENXIO && err != unix.ENOENT {
			return failed("open", err)
		}
		if try > 0 {
			return failed("use", errors.New("it is not a FIFO"))
		}
		if err := unix.Renameat(super, name, super, name+".not-a-fifo"); err != nil {
			return failed("use", fmt.Errorf("it is not a FIFO, and it cannot be put aside: %w", err))
		}
	}
}
