package hungfs

import (
	"bytes"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// What of the protocol (linux/fuse.h, version 7.31) is needed to serve one read-only directory.
const (
	opLookup      = 1
	opForget      = 2
	opGetattr     = 3
	opReadlink    = 5
	opOpen        = 14
	opRead        = 15
	opStatfs      = 17
	opRelease     = 18
	opFlush       = 25
	opInit        = 26
	opOpendir     = 27
	opReaddir     = 28
	opReleasedir  = 29
	opAccess      = 34
	opInterrupt   = 36
	opDestroy     = 38
	opPoll        = 40
	opBatchForget = 42

	headerSize = 40
	rootNode   = 1
	firstNode  = 2 // entry i is node firstNode+i
)

var order = binary.NativeEndian

type request struct {
	op     uint32
	unique uint64
	node   uint64
	pid    uint32
	body   []byte
}

// serve answers until stopped is at its end. It does not use Go's poller: a process that opens a file
// of the mount with os.Open waits for the server with the poller locked.
func (fs *FS) serve(stopped *os.File) {
	defer close(fs.ended)
	defer unix.Close(fs.dev) // closing the last descriptor aborts the connection
	defer stopped.Close()
	buf := make([]byte, 1<<17+4096)
	fds := []unix.PollFd{{Fd: int32(fs.dev), Events: unix.POLLIN}, {Fd: int32(stopped.Fd()), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		n, err := unix.Read(fs.dev, buf)
		if err == unix.EAGAIN || err == unix.EINTR || err == unix.ENOENT {
			continue // ENOENT: the request was taken back before it could be read
		}
		if err != nil || n < headerSize {
			return
		}
		fs.handle(request{
			op:     order.Uint32(buf[4:]),
			unique: order.Uint64(buf[8:]),
			node:   order.Uint64(buf[16:]),
			pid:    order.Uint32(buf[32:]),
			body:   bytes.Clone(buf[headerSize:n]),
		})
	}
}

func (fs *FS) handle(r request) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	switch r.op {
	case opForget, opBatchForget, opDestroy:
		return // want no answer
	case opInterrupt:
		fs.interrupt(order.Uint64(r.body))
		return
	}
	if fs.holds(r.op) {
		fs.held = append(fs.held, r)
		return
	}
	fs.answer(r)
}

func (fs *FS) holds(op uint32) bool {
	switch fs.hold {
	case Open:
		return op == opOpen || op == opRead
	case Read:
		return op == opRead
	case Poll:
		return op == opPoll
	case All:
		return op != opInit
	}
	return false
}

func (fs *FS) interrupt(unique uint64) {
	if !fs.killable {
		return
	}
	for i, r := range fs.held {
		if r.unique == unique {
			fs.held = append(fs.held[:i], fs.held[i+1:]...)
			fs.reply(r, unix.EINTR, nil)
			return
		}
	}
}

func (fs *FS) answer(r request) {
	switch r.op {
	case opInit:
		// version, readahead, no flags, background limits, max_write, granularity, spare
		out := words32(7, 31, 4096, 0, 12|12<<16, 1<<16, 1)
		fs.reply(r, 0, append(out, make([]byte, 64-len(out))...))
	case opLookup:
		name := string(bytes.TrimRight(r.body, "\x00"))
		for i, e := range fs.entries {
			if e.Name == name {
				node := uint64(firstNode + i)
				fs.reply(r, 0, append(words64(node, 0, 0, 0, 0), fs.attributes(node)...))
				return
			}
		}
		fs.reply(r, unix.ENOENT, nil)
	case opGetattr:
		fs.reply(r, 0, append(words64(0, 0), fs.attributes(r.node)...))
	case opReadlink:
		fs.reply(r, 0, []byte(fs.entry(r.node).Link))
	case opOpen, opOpendir:
		fs.reply(r, 0, words64(0, 0))
	case opRead:
		offset, size := order.Uint64(r.body[8:]), order.Uint32(r.body[16:])
		fs.reply(r, 0, part([]byte(fs.entry(r.node).Text), offset, size))
	case opReaddir:
		// All in one piece: the directory is small, and any offset but 0 is its end.
		if order.Uint64(r.body[8:]) > 0 {
			fs.reply(r, 0, nil)
			return
		}
		fs.reply(r, 0, fs.list())
	case opStatfs:
		fs.reply(r, 0, append(words64(0, 0, 0, 0, 0), append(words32(4096, 255, 4096, 0), make([]byte, 24)...)...))
	case opRelease, opReleasedir, opFlush, opAccess:
		fs.reply(r, 0, nil)
	default:
		if r.op >= 8 && r.op <= 13 || r.op == 4 || r.op == 6 || r.op == 16 || r.op == 35 || r.op == 45 {
			fs.reply(r, unix.EROFS, nil) // all that would change something
			return
		}
		fs.reply(r, unix.ENOSYS, nil)
	}
}

func (fs *FS) reply(r request, errno unix.Errno, body []byte) {
	out := words32(uint32(16+len(body)), uint32(-int32(errno)))
	out = append(append(out, words64(r.unique)...), body...)
	unix.Write(fs.dev, out) // an error means that nobody waits any more
}

func (fs *FS) entry(node uint64) Entry {
	if i := int(node) - firstNode; i >= 0 && i < len(fs.entries) {
		return fs.entries[i]
	}
	return Entry{}
}

func (fs *FS) mode(node uint64) uint32 {
	e := fs.entry(node)
	switch {
	case node == rootNode:
		return unix.S_IFDIR | 0o755
	case e.Link != "":
		return unix.S_IFLNK | 0o777
	default:
		return unix.S_IFREG | e.Mode
	}
}

func (fs *FS) attributes(node uint64) []byte {
	size := uint64(len(fs.entry(node).Text) + len(fs.entry(node).Link))
	out := words64(node, size, 1, 0, 0, 0)
	// three times nanoseconds, mode, links, owner, group, device, block size, flags
	return append(out, words32(0, 0, 0, fs.mode(node), 1, 0, 0, 0, 4096, 0)...)
}

func (fs *FS) list() []byte {
	var out []byte
	for i, e := range fs.entries {
		node := uint64(firstNode + i)
		out = append(out, words64(node, uint64(i+1))...)
		out = append(out, words32(uint32(len(e.Name)), fs.mode(node)>>12)...)
		out = append(out, e.Name...)
		for len(out)%8 != 0 {
			out = append(out, 0)
		}
	}
	return out
}

func part(text []byte, offset uint64, size uint32) []byte {
	if offset >= uint64(len(text)) {
		return nil
	}
	text = text[offset:]
	return text[:min(len(text), int(size))]
}

func words32(values ...uint32) []byte {
	var out []byte
	for _, v := range values {
		out = order.AppendUint32(out, v)
	}
	return out
}

func words64(values ...uint64) []byte {
	var out []byte
	for _, v := range values {
		out = order.AppendUint64(out, v)
	}
	return out
}
