package logpipe

import (
	"bytes"
	"encoding/binary"
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
	d.persist("rename current to previous in directory", "", func() error {
		return renameIn(d.fd, "current", "previous")
	})
	d.persist("create", "current", func() (err error) {
		d.current, err = openIn(d.fd, "current", appending, lockMode)
		return err
	})
	d.length, d.sent = 0, 0
	d.persist("set mode of", "current", func() error { return unix.Fchmod(d.current, openMode) })
	d.persist("set mode of", "previous", func() error { return chmodIn(d.fd, "previous", wholeMode) })
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
	d.persist("stat", name, func() error {
		err := statIn(d.fd, name, &st)
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
	d.persist("remove", name, func() error { return unlinkIn(d.fd, name) })
	d.prune()
}

// link gives name the name of an old file, by the time.
func (d *directory) link(name, code string) {
	for {
		d.name = append(append(appendLabel(d.name[:0], time.Now()), '.'), code...)
		err := linkIn(d.fd, name, d.name)
		switch err {
		case nil:
			return
		case unix.EINTR:
		case unix.EEXIST:
			// Within a microsecond of another, or in an hour that the clock shows twice.
			time.Sleep(2 * time.Microsecond)
		default:
			d.env.pause("unable to link to "+d.path+"/"+string(d.name), err)
		}
	}
}

// prune removes the oldest of the old files until there are fewer than number. It counts every name that
// has a label's first character and length, as the original does, and removes none after the "@z…" where
// no label is.
func (d *directory) prune() {
	var excess int
	d.persist("read", "", func() error {
		excess, d.name = 1-d.number, d.name[:0]
		return d.eachOld(func(name []byte) {
			if excess++; len(d.name) == 0 || bytes.Compare(name, d.name) < 0 {
				d.name = append(d.name[:0], name...)
			}
		})
	})
	if excess == 1 && string(d.name) < "@z" && gone(unlinkIn(d.fd, d.name)) {
		return // as most times
	}
	if excess > 0 {
		d.pruneMany()
	}
}

// pruneMany is prune for a directory where it is not just the oldest that has to go.
func (d *directory) pruneMany() {
	var names []string
	d.persist("read", "", func() error {
		names = nil
		return d.eachOld(func(name []byte) { names = append(names, string(name)) })
	})
	slices.Sort(names)
	for excess := len(names) - d.number + 1; excess > 0 && len(names) > 0 && names[0] < "@z"; names = names[1:] {
		// One that cannot be removed stays, and the next one goes in its place.
		if gone(unlinkIn(d.fd, names[0])) {
			excess--
		}
	}
}

func gone(err error) bool { return err == nil || err == unix.ENOENT }

// listSize is how much of a directory is read at once.
const listSize = 2048

// eachOld shows the names of the old files, which are good until visit returns.
func (d *directory) eachOld(visit func(name []byte)) error {
	fd, err := openIn(d.fd, ".", reading|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if d.list == nil {
		d.list = make([]byte, listSize)
	}
	for {
		n, err := unix.ReadDirent(fd, d.list)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return err
		}
		for list := d.list[:n]; len(list) > 0; {
			var name []byte
			if name, list = cutEntry(list); name[0] == '@' && len(name) >= tai64.TextSize {
				visit(name)
			}
		}
	}
}

// cutEntry returns the name of the first entry of list, and the entries after it. It goes by struct
// linux_dirent64 of getdents(2).
func cutEntry(list []byte) (name, rest []byte) {
	const length, text = 16, 19
	end := binary.NativeEndian.Uint16(list[length:])
	name, _, _ = bytes.Cut(list[text:end], []byte{0})
	return name, list[end:]
}
