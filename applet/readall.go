package applet

import (
	"io"
	"syscall"
)

// readAll reads the file path to its end as the family does: without waiting for a FIFO's writer. found is
// false where there is none. It goes past package os, which would open descriptors of its own, and children
// are to find the lowest numbers free.
func readAll(path string) (content []byte, found bool, err error) {
	fd, err := openFile(path, syscall.O_RDONLY)
	if err == syscall.ENOENT {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer syscall.Close(fd)
	content, err = io.ReadAll(fdReader(fd))
	return content, true, err
}

// An fdReader reads a descriptor. Where there is nothing to read yet, that is an error.
type fdReader int

func (fd fdReader) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), b)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}
