package logpipe

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// Modes of the files of a log directory. The owner's x tells that a file is whole and on disk.
const (
	openMode   = 0o644
	wholeMode  = 0o744
	wholeBit   = 0o100
	lockMode   = 0o600
	directMode = 0o700
)

// margin is how many bytes before its size a file may end with a line.
const margin = 2000

// A directory is a log directory: lines go to current, which becomes an old file @LABEL.CODE when it has
// its size. At any instant the names and modes in it tell a successor how far its owner got.
type directory struct {
	settings
	env     *Environment
	fd      int
	lock    int
	current int
	length  int64 // of current
	sent    int64 // of which the kernel has been told to write that much to disk

	name []byte // of an old file, for reuse
	list []byte // for reuse, part of the list of the files
}

// openDirectory makes the directory if it is missing, locks it and finishes what a Log that was killed
// has left in it.
func openDirectory(env *Environment, s settings) (*directory, error) {
	d := &directory{settings: s, env: env, fd: -1, lock: -1, current: -1}
	if err := d.open(); err != nil {
		d.release()
		return nil, err
	}
	return d, nil
}

func (d *directory) open() (err error) {
	unix.Mkdirat(d.env.Start, d.path, directMode) // what is wrong shows when it is opened
	d.fd, err = openAt(d.env.Start, d.path, reading, 0)
	if err == nil {
		err = d.search()
	}
	if err != nil {
		return &OpenError{"unable to open directory " + d.path, err}
	}
	if err := d.takeLock(); err != nil {
		return &OpenError{"unable to lock directory " + d.path, err}
	}
	mode, size, err := d.stat("current")
	if err != nil && err != unix.ENOENT {
		return &OpenError{"unable to stat " + d.path + "/current", err}
	}
	if err == nil && mode&wholeBit != 0 {
		return d.resume(size)
	}
	return d.recover()
}

// search fails where the directory is none, or one that its owner may not enter.
func (d *directory) search() error {
	var st unix.Stat_t
	return unix.Fstatat(d.fd, ".", &st, 0)
}

// takeLock takes flock, which multilog and svlogd test, and an OFD lock, which s6-log sees.
func (d *directory) takeLock() (err error) {
	if d.lock, err = openAt(d.fd, "lock", appending, lockMode); err != nil {
		return err
	}
	if err := unix.Flock(d.lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return err
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(uintptr(d.lock), unix.F_OFD_SETLK, &whole)
	if err == unix.EACCES {
		return unix.EAGAIN
	}
	if err == unix.EAGAIN {
		return err
	}
	return nil // a file system without such locks: flock has to do
}

// resume goes on with a current that was closed in good order.
func (d *directory) resume(size int64) (err error) {
	if d.current, err = openAt(d.fd, "current", appending, lockMode); err != nil {
		return &OpenError{"unable to append to " + d.path + "/current", err}
	}
	if err := unix.Fchmod(d.current, openMode); err != nil {
		return &OpenError{"unable to set mode of " + d.path + "/current", err}
	}
	d.length, d.sent = size, size
	return nil
}

// recover keeps as old files what a Log has left that was killed, and starts from nothing.
func (d *directory) recover() (err error) {
	unix.Unlinkat(d.fd, "state", 0)
	unix.Unlinkat(d.fd, "newstate", 0)
	mode, _, err := d.stat("processed")
	if err != nil && err != unix.ENOENT {
		return &OpenError{"unable to stat " + d.path + "/processed", err}
	}
	if err == nil && mode&wholeBit != 0 {
		unix.Unlinkat(d.fd, "previous", 0) // which has been processed
		d.finish("processed", d.code)
	} else {
		unix.Unlinkat(d.fd, "processed", 0)
		d.finish("previous", "u")
	}
	d.finish("current", "u")
	state, err := openAt(d.fd, "state", truncating, openMode)
	if err != nil {
		return &OpenError{"unable to write to " + d.path + "/state", err}
	}
	unix.Close(state)
	if d.current, err = openAt(d.fd, "current", appending, lockMode); err == nil {
		err = unix.Fchmod(d.current, openMode)
	}
	if err != nil {
		return &OpenError{"unable to write to " + d.path + "/current", err}
	}
	return nil
}

func (d *directory) stat(name string) (mode uint32, size int64, err error) {
	var st unix.Stat_t
	err = unix.Fstatat(d.fd, name, &st, 0)
	return st.Mode, st.Size, err
}

// write appends block to current, and finishes that where it is due: after the first line that ends in
// the last 2000 bytes of its size, else, within a line, at its size. So it is a matter of the lines alone
// where a file ends. The original looks at what it happens to write at once, and so goes by the first
// line, too, if lines come one by one.
func (d *directory) write(block []byte) {
	for len(block) > 0 {
		if d.length >= d.size {
			d.rotate()
		}
		part := block[:min(int64(len(block)), d.size-d.length)]
		if from := max(d.size-margin-d.length-1, 0); from < int64(len(part)) {
			if end := bytes.IndexByte(part[from:], '\n'); end >= 0 {
				part = part[:from+int64(end)+1]
			}
		}
		n := d.append(part)
		d.length += int64(n)
		d.send()
		if d.length >= d.size-margin && block[n-1] == '\n' {
			d.rotate()
		}
		block = block[n:]
	}
}

// ahead is how much of current the kernel may gather before it starts to write it to disk.
const ahead = 1 << 20

// send lets the disk work while lines still come: what is left for the fsync of a rotation holds them up.
func (d *directory) send() {
	if d.length-d.sent >= ahead {
		unix.SyncFileRange(d.current, d.sent, d.length-d.sent, unix.SYNC_FILE_RANGE_WRITE)
		d.sent = d.length
	}
}

// append writes at least the first byte of part to current.
func (d *directory) append(part []byte) int {
	for {
		n, err := unix.Write(d.current, part)
		if n > 0 {
			return n
		}
		if err != unix.EINTR {
			d.env.pause("unable to write to "+d.path+"/current", err)
		}
	}
}

// reopen goes on with the file that is called current now; where it still is the same, nothing changes.
func (d *directory) reopen() {
	fd := -1
	d.persist("create", "current", func() (err error) {
		fd, err = openAt(d.fd, "current", appending, lockMode)
		return err
	})
	d.persist("set mode of", "current", func() error { return unix.Fchmod(fd, openMode) })
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil {
		d.length, d.sent = st.Size, st.Size
	}
	d.sync(d.current, "current")
	unix.Close(d.current)
	d.current = fd
}

// markClosed puts current on disk and marks it as whole.
func (d *directory) markClosed() {
	d.sync(d.current, "current")
	d.persist("set mode of", "current", func() error { return unix.Fchmod(d.current, wholeMode) })
}

func (d *directory) sync(fd int, name string) {
	for {
		err := unix.Fsync(fd)
		if err == nil {
			return
		}
		if err != unix.EINTR {
			d.env.pause("unable to write "+d.path+"/"+name+" to disk", err)
		}
	}
}

func (d *directory) release() {
	for _, fd := range []int{d.current, d.lock, d.fd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
