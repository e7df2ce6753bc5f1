package applet

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

func TestErrText(t *testing.T) {
	_, missing := os.Open("/nonexistent/file")
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "no error"},
		{syscall.Errno(0), "no error"},
		{syscall.EPERM, "permission denied"},
		{syscall.EACCES, "access denied"},
		{syscall.EAGAIN, "temporary failure"},
		{syscall.EWOULDBLOCK, "temporary failure"},
		{syscall.ENXIO, "device not configured"},
		{syscall.ESTALE, "stale NFS file handle"},
		{syscall.ENOKEY, "unknown error"},
		{syscall.Errno(4095), "unknown error"},
		{errors.New("something else"), "unknown error"},
		{missing, "file does not exist"},
		{fmt.Errorf("cannot go on: %w", &os.PathError{Op: "open", Path: "x", Err: syscall.ELOOP}), "symbolic link loop"},
	} {
		if got := errText(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
