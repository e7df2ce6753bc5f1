package fsstate

import "golang.org/x/sys/unix"

func open(path string, flags int, mode uint32) (int, error) {
	return openat(unix.AT_FDCWD, path, flags, mode)
}

func openat(dirfd int, path string, flags int, mode uint32) (fd int, err error) {
	err = ignoreEINTR(func() (err error) {
		fd, err = unix.Openat(dirfd, path, flags|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

func ignoreEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
