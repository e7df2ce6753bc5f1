package logpipe

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Package unix allocates a copy of every name it is given. The calls here do not: between two lines there
// may be a rotation, and what is garbage after each of them makes the heap grow until it is collected,
// to more than all else that a Log needs.

// A nameBuffer has room for a name that is too long for a file, so that the kernel sees that it is.
type nameBuffer [264]byte

// set sets what is in the buffer and returns its address. name has no NUL.
func set[S string | []byte](b *nameBuffer, name S) unsafe.Pointer {
	n := copy(b[:len(b)-1], name)
	b[n] = 0
	return unsafe.Pointer(b)
}

// openIn is openAt for a name in a directory.
func openIn(dir int, name string, flags int, mode uint32) (fd int, err error) {
	const always = unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_LARGEFILE
	var b nameBuffer
	p := set(&b, name)
	for {
		r, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(p), uintptr(flags|always), uintptr(mode), 0, 0)
		if errno == 0 {
			return int(r), nil
		}
		if errno != unix.EINTR {
			return -1, errno
		}
	}
}

// statIn is fstatat(2), whose number and structure differ from machine to machine.
func statIn(dir int, name string, st *unix.Stat_t) error {
	fd, err := openIn(dir, name, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fstat(fd, st)
}

func chmodIn(dir int, name string, mode uint32) error {
	var b nameBuffer
	p := set(&b, name)
	_, _, errno := unix.Syscall(unix.SYS_FCHMODAT, uintptr(dir), uintptr(p), uintptr(mode))
	return orNil(errno)
}

func renameIn(dir int, from, to string) error {
	var a, b nameBuffer
	p, q := set(&a, from), set(&b, to)
	_, _, errno := unix.Syscall6(unix.SYS_RENAMEAT2, uintptr(dir), uintptr(p), uintptr(dir), uintptr(q), 0, 0)
	if errno == unix.ENOSYS {
		return unix.Renameat(dir, from, dir, to) // before Linux 3.15; not every machine has a number for it
	}
	return orNil(errno)
}

func linkIn(dir int, from string, to []byte) error {
	var a, b nameBuffer
	p, q := set(&a, from), set(&b, to)
	_, _, errno := unix.Syscall6(unix.SYS_LINKAT, uintptr(dir), uintptr(p), uintptr(dir), uintptr(q), 0, 0)
	return orNil(errno)
}

func unlinkIn[S string | []byte](dir int, name S) error {
	var b nameBuffer
	p := set(&b, name)
	_, _, errno := unix.Syscall(unix.SYS_UNLINKAT, uintptr(dir), uintptr(p), 0)
	return orNil(errno)
}

func orNil(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
