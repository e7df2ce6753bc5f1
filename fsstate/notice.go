package fsstate

import "golang.org/x/sys/unix"

// noticeFIFO is the way by which run says that it is ready, where it does so by a descriptor.
const noticeFIFO = "notice"

// What Info.Notice says.
const (
	NoticeOpen   = "open"
	NoticeClosed = "closed"
)

// MakeNotice makes supervise/notice anew, so that what an earlier run still says is not heard, and opens both ends:
// write is run's, and read, which never waits, is ours. write is for reading too: what run says is kept, and run
// gets no SIGPIPE, while nobody supervises it.
func (d *Dir) MakeNotice() (write, read int, err error) {
	super, err := d.openSuper()
	if err != nil {
		return -1, -1, err
	}
	defer unix.Close(super)
	if err := unix.Unlinkat(super, noticeFIFO, 0); err != nil && err != unix.ENOENT && err != unix.EISDIR {
		return -1, -1, err
	}
	if write, err = d.openFIFO(super, noticeFIFO, unix.O_RDWR); err != nil {
		return -1, -1, err
	}
	if read, err = openat(super, noticeFIFO, unix.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
		err = unix.SetNonblock(write, false)
	}
	if err != nil {
		unix.Close(write)
		return -1, -1, err
	}
	return write, read, nil
}

// Notice opens our end of what MakeNotice of an earlier upkeep has made. Without an error it is -1 if nobody has the
// other end any more, and nothing is there to be read.
func (d *Dir) Notice() (read int, err error) {
	super, err := d.openSuper()
	if err != nil {
		return -1, err
	}
	defer unix.Close(super)
	// Only where somebody can read can one open a FIFO for writing, and run's end can.
	write, err := openat(super, noticeFIFO, unix.O_WRONLY|unix.O_NONBLOCK, 0)
	if err == unix.ENXIO {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(write)
	return openat(super, noticeFIFO, unix.O_RDONLY|unix.O_NONBLOCK, 0)
}
