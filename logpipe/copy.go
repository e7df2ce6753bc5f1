package logpipe

import "golang.org/x/sys/unix"

// pipeSize lets the writer go on while a block is written. It is not more because the kernel limits what the
// pipes of a user may hold together, and cripples the next pipe of who exceeds that.
const pipeSize = 256 << 10

// Copy logs what it reads from fd, until that ends or it is asked to stop: then it reads no further than
// to the end of the line. A read error is an end. Before it reads it puts on file what it has read, and
// does as it is asked.
func (l *Log) Copy(fd int, requests *Requests) {
	if size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0); err == nil && size < pipeSize {
		unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, pipeSize) // else it stays as it is
	}
	for stopping := false; ; {
		block := l.input()
		asked := requests.hear()
		if asked&Rotate != 0 {
			l.Rotate()
		}
		if asked&ReopenLogs != 0 {
			l.Reopen()
		}
		if asked&Stop != 0 {
			stopping = true
		}
		if stopping {
			if !l.midLine() {
				return
			}
			block = block[:1] // for what is left of the line
		}
		if !requests.wait(fd) {
			continue
		}
		n, err := unix.Read(fd, block)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if n <= 0 {
			return
		}
		l.take(n)
	}
}
