package fsstate

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// entries goes through a directory. It allocates nothing: one is read before every start of a service.
type entries struct {
	fd     int
	err    error // why it ended early
	listed int   // bytes so far
	buf    [1024]byte
	at     int // where in buf the present record is
	end    int // of what getdents64(2) has put there
}

// What a record has after the inode and the offset of the next one.
const (
	recordSize = 16
	recordKind = 18
	recordName = 19
)

// next goes to the next entry, but for the two that every directory has.
func (e *entries) next() bool {
	for {
		if e.end > 0 {
			e.at += e.size()
		}
		if e.at >= e.end && !e.fill() {
			return false
		}
		if n := e.name(); string(n) != "." && string(n) != ".." {
			return true
		}
	}
}

func (e *entries) fill() bool {
	e.err = ignoreEINTR(func() (err error) {
		e.at = 0
		e.end, err = unix.Getdents(e.fd, e.buf[:])
		return err
	})
	e.listed += max(e.end, 0)
	return e.err == nil && e.end > 0
}

func (e *entries) size() int { return int(binary.NativeEndian.Uint16(e.buf[e.at+recordSize:])) }

// kind is DT_REG and so on.
func (e *entries) kind() byte { return e.buf[e.at+recordKind] }

// name is valid until next is called.
func (e *entries) name() []byte {
	name := e.buf[e.at+recordName : e.at+e.size()]
	if i := bytes.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	return name
}
