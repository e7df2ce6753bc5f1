package applet

import (
	"io"
	"unsafe"
)

// readproctitle shows the last bytes of what it reads in its own command line, in place of its last
// argument, for ps. The first three of them are always "...". It says nothing, and exits with 0 at
// the end of input, 100 for a last argument that is too short, 111 for an error of reading.
func readproctitle(c *call) int {
	plainSignals()
	if len(c.args) == 0 {
		return exitPermanent
	}
	// The runtime does not copy the arguments: their strings are the memory that /proc/PID/cmdline
	// shows.
	last := c.args[len(c.args)-1]
	title := unsafe.Slice(unsafe.StringData(last), len(last))
	for i := range title {
		title[i] = '.'
	}
	if len(title) < 5 {
		return exitPermanent
	}
	return showTail(c.stdin, title[3:])
}

// showTail keeps the last bytes read from r in window, without NULs, which would end the argument.
func showTail(r io.Reader, window []byte) (code int) {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		read := withoutNUL(buf[:n])
		if len(read) > len(window) {
			read = read[len(read)-len(window):]
		}
		copy(window, window[len(read):])
		copy(window[len(window)-len(read):], read)
		switch err {
		case nil:
		case io.EOF:
			return exitOK
		default:
			return exitTemporary
		}
	}
}

func withoutNUL(b []byte) []byte {
	kept := b[:0]
	for _, c := range b {
		if c != 0 {
			kept = append(kept, c)
		}
	}
	return kept
}
