package fsstate

import (
	"bytes"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A program is what run of a service directory is.
type program struct {
	interpreter string // what its first line names, or ""
	remote      bool   // executing it may wait for a server
}

// program looks at run. Executing it may wait for a server where the directory, run itself, or the
// interpreter that its first line names lies on any file system but the local ones.
func (l *listing) program() (p program) {
	if l.fd >= 0 {
		p.remote = !localFD(l.fd)
	} else {
		p.remote = !local(l.path)
	}
	if !l.there.has(fileRun) {
		return p
	}
	var head [headMax]byte
	fd, err := l.open(fileRun)
	if err != nil { // it may be executable all the same
		p.remote = p.remote || !local(filepath.Join(l.path, "run"))
		return p
	}
	defer unix.Close(fd)
	p.remote = p.remote || !localFD(fd)
	if text, err := readInto(fd, head[:]); err == nil {
		p.interpreter = interpreter(text)
	}
	p.remote = p.remote || p.interpreter != "" && !local(within(l.path, p.interpreter))
	return p
}

// within makes a path that is relative to a directory one that is not.
func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// local tells whether path lies on a file system that answers from this machine. What cannot be found
// counts as local: executing it fails at once.
func local(path string) bool {
	var st unix.Statfs_t
	if err := ignoreEINTR(func() error { return unix.Statfs(path, &st) }); err != nil {
		return err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP || err == unix.EACCES
	}
	return localType(uint32(st.Type))
}

// localFD is local for what is open.
func localFD(fd int) bool {
	var st unix.Statfs_t
	return ignoreEINTR(func() error { return unix.Fstatfs(fd, &st) }) == nil && localType(uint32(st.Type))
}

// localType tells a local file system by its magic number.
func localType(magic uint32) bool {
	switch magic {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC,
		unix.RAMFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.SQUASHFS_MAGIC,
		unix.EROFS_SUPER_MAGIC_V1, unix.ISOFS_SUPER_MAGIC, unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC,
		unix.REISERFS_SUPER_MAGIC, zfsMagic, bcachefsMagic, jfsMagic:
		return true
	}
	return false
}

// Magic numbers that the kernel's headers do not export.
const (
	zfsMagic      = 0x2fc12fc1
	bcachefsMagic = 0xca451a4e
	jfsMagic      = 0x3153464a
)

// headMax is how much of a program the kernel looks at to tell what executes it.
const headMax = 256

// Interpreter returns the program that the first line of a script names after #!, or "" for anything
// else.
func Interpreter(path string) string {
	var head [headMax]byte
	fd, err := open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	if regular(fd) != nil {
		return ""
	}
	text, err := readInto(fd, head[:])
	if err != nil {
		return ""
	}
	return interpreter(text)
}

// interpreter is Interpreter for the head of a file.
func interpreter(head []byte) string {
	line, script := bytes.CutPrefix(head, []byte("#!"))
	if !script {
		return ""
	}
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	line = bytes.TrimLeft(line, " \t")
	if i := bytes.IndexAny(line, " \t"); i >= 0 {
		line = line[:i]
	}
	return string(line)
}

// Unwatchable tells whether changes of the directory at path may go unnoticed by inotify, because others
// than this kernel can make them.
func Unwatchable(path string) bool { return !local(path) }
