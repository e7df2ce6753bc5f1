package applet

import (
	"errors"
	"syscall"
)

// errText names an error as the daemontools family does. The texts are not strerror's: EPERM is
// "permission denied" and EACCES "access denied".
func errText(err error) string {
	if err == nil {
		return "no error"
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return "unknown error"
	}
	switch errno {
	case 0:
		return "no error"
	case syscall.E2BIG:
		return "argument list too long"
	case syscall.EACCES:
		return "access denied"
	case syscall.EAGAIN:
		return "temporary failure"
	case syscall.EBADF:
		return "file descriptor not open"
	case syscall.EBUSY:
		return "device busy"
	case syscall.ECHILD:
		return "no child processes"
	case syscall.ECONNREFUSED:
		return "connection refused"
	case syscall.EDEADLK:
		return "operation would cause deadlock"
	case syscall.EDOM:
		return "input out of range"
	case syscall.EDQUOT:
		return "disk quota exceeded"
	case syscall.EEXIST:
		return "file already exists"
	case syscall.EFAULT:
		return "bad address"
	case syscall.EFBIG:
		return "file too big"
	case syscall.EINPROGRESS:
		return "operation in progress"
	case syscall.EINTR:
		return "interrupted system call"
	case syscall.EINVAL:
		return "invalid argument"
	case syscall.EIO:
		return "input/output error"
	case syscall.EISDIR:
		return "is a directory"
	case syscall.ELOOP:
		return "symbolic link loop"
	case syscall.EMFILE:
		return "process cannot open more files"
	case syscall.EMLINK:
		return "too many links"
	case syscall.ENAMETOOLONG:
		return "file name too long"
	case syscall.ENFILE:
		return "system cannot open more files"
	case syscall.ENODEV:
		return "device does not support operation"
	case syscall.ENOENT:
		return "file does not exist"
	case syscall.ENOEXEC:
		return "exec format error"
	case syscall.ENOLCK:
		return "no locks available"
	case syscall.ENOMEM:
		return "out of memory"
	case syscall.ENOSPC:
		return "out of disk space"
	case syscall.ENOSYS:
		return "system call not available"
	case syscall.ENOTBLK:
		return "not a block device"
	case syscall.ENOTDIR:
		return "not a directory"
	case syscall.ENOTEMPTY:
		return "directory not empty"
	case syscall.ENOTTY:
		return "not a tty"
	case syscall.ENXIO:
		return "device not configured"
	case syscall.EPERM:
		return "permission denied"
	case syscall.EPIPE:
		return "broken pipe"
	case syscall.EPROTO:
		return "protocol error"
	case syscall.ERANGE:
		return "output out of range"
	case syscall.EROFS:
		return "read-only file system"
	case syscall.ESPIPE:
		return "unseekable descriptor"
	case syscall.ESRCH:
		return "no such process"
	case syscall.ESTALE:
		return "stale NFS file handle"
	case syscall.ETIMEDOUT:
		return "timed out"
	case syscall.ETXTBSY:
		return "text busy"
	case syscall.EXDEV:
		return "cross-device link"
	}
	return "unknown error"
}
