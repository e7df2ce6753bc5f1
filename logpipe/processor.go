package logpipe

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// process makes processed of previous, and state of newstate, with a command for /bin/sh. Until that
// succeeds it is tried from scratch, and no log is read meanwhile: a processor needs to be sure that it
// has seen everything.
func (d *directory) process(command string) {
	for !d.processed(command) {
		d.env.pause("processor failed in "+d.path, nil)
	}
	d.onDisk("processed", wholeMode)
	d.onDisk("newstate", 0)
	d.persist("remove", "previous", func() error { return unix.Unlinkat(d.fd, "previous", 0) })
	d.persist("rename newstate to state in directory", "", func() error {
		return unix.Renameat(d.fd, "newstate", d.fd, "state")
	})
}

// onDisk makes sure that a file a processor has written is there, on disk, and has the mode, unless 0.
func (d *directory) onDisk(name string, mode uint32) {
	fd := -1
	d.persist("create", name, func() (err error) {
		fd, err = openAt(d.fd, name, appending, lockMode)
		return err
	})
	defer unix.Close(fd)
	d.sync(fd, name)
	if mode != 0 {
		d.persist("set mode of", name, func() error { return unix.Fchmod(fd, mode) })
	}
}

// processed runs the processor once and tells whether it was content.
func (d *directory) processed(command string) bool {
	pid, err := d.startProcessor(command)
	for err == unix.EAGAIN || err == unix.ENOMEM {
		d.env.pause("unable to fork for processor in "+d.path, err)
		pid, err = d.startProcessor(command)
	}
	if err != nil {
		d.env.Fail("unable to run "+command, err)
		return false
	}
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, 0, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			d.env.pause("wait failed for processor in "+d.path, err)
			return false
		case status.Signaled():
			// The original shows an errno here that is none of the crash's.
			d.env.pause("processor crashed in "+d.path, unix.Errno(0))
			return false
		}
		return status.ExitStatus() == 0
	}
}

// startProcessor starts the processor in the log directory: 0 is previous, 1 processed, 4 the state that
// the one before it has left, and 5 newstate.
func (d *directory) startProcessor(command string) (pid int, err error) {
	files := []uintptr{0, 0, 2, noFile, 0, 0}
	for _, f := range []struct {
		fd    int
		name  string
		flags int
	}{
		{0, "previous", reading}, {1, "processed", truncating}, {4, "state", reading}, {5, "newstate", truncating},
	} {
		fd, err := openAt(d.fd, f.name, f.flags, openMode)
		if err != nil {
			return 0, err
		}
		defer unix.Close(fd)
		unix.SetNonblock(fd, false) // the shell's programs do not expect it
		files[f.fd] = uintptr(fd)
	}
	// Through /proc the directory is found wherever it was moved.
	dir := fmt.Sprintf("/proc/self/fd/%d", d.fd)
	if _, err := os.Stat(dir); err != nil {
		dir = d.path
	}
	return syscall.ForkExec("/bin/sh", []string{"sh", "-c", command}, &syscall.ProcAttr{
		Dir: dir, Env: os.Environ(), Files: files,
	})
}

// noFile is a descriptor that a child does not have.
const noFile = ^uintptr(0)
