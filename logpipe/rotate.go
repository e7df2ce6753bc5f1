package logpipe

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/tai64"
)

// rotate makes current an old file and starts a new one. Each step leaves the directory in a state that
// recover knows, so the order of the steps is that of the original.
func (d *directory) rotate() {
	d.sync(d.current, "current")
	unix.Close(d.current)
	d.env.persist("unable to rename current to previous in directory "+d.path, func() error {
		return unix.Renameat(d.fd, "current", d.fd, "previous")
	})
	d.env.persist("unable to create "+d.path+"/current", func() (err error) {
		d.current, err = openAt(d.fd, "current", appending, lockMode)
		return err
	})
	d.length, d.sent = 0, 0
	d.env.persist("unable to set mode of "+d.path+"/current", func() error { return unix.Fchmod(d.current, openMode) })
	d.env.persist("unable to set mode of "+d.path+"/previous", func() error {
		return unix.Fchmodat(d.fd, "previous", wholeMode, 0)
	})
	if d.processor == nil {
		d.finish("previous", d.code)
		return
	}
	d.process(*d.processor)
	d.finish("processed", d.code)
}

// finish makes name an old file, if there is one, and removes those that are too many. The link shows
// how far it got: a file with two is an old file already.
func (d *directory) finish(name, code string) {
	var st unix.Stat_t
	var missing bool
	d.env.persist("unable to stat "+d.path+"/"+name, func() error {
		err := unix.Fstatat(d.fd, name, &st, 0)
		missing = err == unix.ENOENT
		if missing {
			return nil
		}
		return err
	})
	if missing {
		return
	}
	if st.Nlink == 1 {
		d.link(name, code)
	}
	d.env.persist("unable to remove "+d.path+"/"+name, func() error { return unix.Unlinkat(d.fd, name, 0) })
	d.prune()
}

// link gives name the name of an old file, by the time.
func (d *directory) link(name, code string) {
	for {
		old := string(appendLabel(nil, time.Now())) + "." + code
		err := unix.Linkat(d.fd, name, d.fd, old, 0)
		switch err {
		case nil:
			return
		case unix.EINTR:
		case unix.EEXIST:
			// Within a microsecond of another, or in an hour that the clock shows twice.
			time.Sleep(2 * time.Microsecond)
		default:
			d.env.pause("unable to link to "+d.path+"/"+old, err)
		}
	}
}

// prune removes the oldest of the old files until there are fewer than number. It counts every name that
// has a label's first character and length, as the original does, and removes none after the "@z…" where
// no label is.
func (d *directory) prune() {
	var names []string
	d.env.persist("unable to read "+d.path, func() (err error) {
		names, err = d.oldFiles()
		return err
	})
	slices.Sort(names)
	for excess := len(names) - d.number + 1; excess > 0 && len(names) > 0 && names[0] < "@z"; names = names[1:] {
		// One that cannot be removed stays, and the next one goes in its place.
		if err := unix.Unlinkat(d.fd, names[0], 0); err == nil || err == unix.ENOENT {
			excess--
		}
	}
}

func (d *directory) oldFiles() (old []string, err error) {
	fd, err := openAt(d.fd, ".", reading|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var buf [4096]byte
	for {
		n, err := unix.ReadDirent(fd, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return old, err
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if name[0] == '@' && len(name) >= tai64.TextSize {
				old = append(old, name)
			}
		}
	}
}
