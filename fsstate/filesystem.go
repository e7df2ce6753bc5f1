package fsstate

import (
	"bytes"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// remote tells whether executing run in the service directory at path may wait for a server: whether
// the directory, run itself, or the interpreter that its first line names lies on any file system but
// the local ones.
func remote(path string) bool {
	run := filepath.Join(path, "run")
	if !local(path) || !local(run) {
		return true
	}
	interpreter := Interpreter(run)
	if interpreter != "" && !filepath.IsAbs(interpreter) {
		interpreter = filepath.Join(path, interpreter)
	}
	return interpreter != "" && !local(interpreter)
}

// local tells whether path lies on a file system that answers from this machine. What cannot be found
// counts as local: executing it fails at once.
func local(path string) bool {
	var st unix.Statfs_t
	if err := ignoreEINTR(func() error { return unix.Statfs(path, &st) }); err != nil {
		return err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP || err == unix.EACCES
	}
	switch uint32(st.Type) {
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

// Interpreter returns the program that the first line of a script names after #!, or "" for anything
// else.
func Interpreter(path string) string {
	// The kernel looks at the first 256 bytes.
	head, err := readHead(path, 256)
	if err != nil || !bytes.HasPrefix(head, []byte("#!")) {
		return ""
	}
	line, _, _ := bytes.Cut(head[2:], []byte("\n"))
	name, _, _ := strings.Cut(strings.TrimLeft(string(line), " \t"), " ")
	name, _, _ = strings.Cut(name, "\t")
	return name
}

// Unwatchable tells whether changes of the directory at path may go unnoticed by inotify, because others
// than this kernel can make them.
func Unwatchable(path string) bool { return !local(path) }
