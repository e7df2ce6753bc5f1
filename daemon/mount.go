package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A mount is a file system that a machine is expected to have.
type mount struct {
	target, fstype string
	flags          uintptr
	data           string
}

// needed are the mounts of a machine, each after those that it lies in.
var needed = []mount{
	{"/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755"},
	{"/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=0620,gid=5"},
	{"/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
	{"/sys/fs/cgroup", "cgroup2", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "nsdelegate"},
}

// deviceLinks are what programs expect in /dev and the kernel does not put there.
var deviceLinks = [][2]string{
	{"/dev/fd", "/proc/self/fd"}, {"/dev/stdin", "fd/0"}, {"/dev/stdout", "fd/1"}, {"/dev/stderr", "fd/2"},
}

// mountAll mounts what is not mounted yet, and tells what could not be.
func mountAll() (notes []string) {
	for _, m := range needed {
		if mounted(m.target) {
			continue
		}
		if err := os.Mkdir(m.target, 0o755); err != nil && !os.IsExist(err) {
			notes = append(notes, fmt.Sprintf("cannot make the directory %s: %v; going on without what belongs there", m.target, err.(*os.PathError).Err))
			continue
		}
		if err := unix.Mount(m.fstype, m.target, m.fstype, m.flags, m.data); err != nil && err != unix.EBUSY {
			notes = append(notes, fmt.Sprintf("cannot mount %s on %s: %v; going on without", m.fstype, m.target, err))
		}
	}
	for _, l := range deviceLinks {
		os.Symlink(l[1], l[0]) // where there is one, or /dev is missing, that is that
	}
	return notes
}

// mounted tells whether a file system begins at a directory.
func mounted(dir string) bool {
	var here, above unix.Stat_t
	return unix.Stat(dir, &here) == nil && unix.Stat(filepath.Dir(dir), &above) == nil && here.Dev != above.Dev
}

// volatile are the file systems that hold nothing worth keeping. The kernel's descriptors and ours keep
// some of them busy to the end.
var volatile = map[string]bool{
	"rootfs": true, "ramfs": true, "tmpfs": true, "devtmpfs": true, "devpts": true, "proc": true, "sysfs": true,
	"cgroup": true, "cgroup2": true,
}

// A mounted file system is one line of /proc/mounts.
type mountedAt struct{ target, fstype string }

// toUnmount picks from /proc/mounts what is to be unmounted, the last mounted first.
func toUnmount(table string) (list []mountedAt) {
	lines := strings.Split(table, "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		f := strings.Fields(lines[i])
		if len(f) >= 3 && !volatile[f[2]] {
			list = append(list, mountedAt{unescape(f[1]), f[2]})
		}
	}
	return list
}

// unescape undoes the kernel's escapes for what separates fields and lines.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// unmountTime is how long one file system may take: that of a dead server would take for ever.
const unmountTime = 5 * time.Second

// unmountAll unmounts every file system that keeps something, or makes it read-only where it is in use,
// as the root always is.
func (m *Machine) unmountAll() {
	table, err := os.ReadFile("/proc/mounts")
	if err != nil { // there is the root at least
		table = []byte("/dev/root / unknown rw 0 0\n")
	}
	for _, fs := range toUnmount(string(table)) {
		done := make(chan error, 1)
		go func() { done <- letGo(fs.target) }()
		err := error(unix.ETIMEDOUT)
		select {
		case err = <-done:
		case <-time.After(unmountTime):
		}
		if err != nil {
			m.messages.warn("", "cannot make %s on %s read-only: %v; going on without it", fs.fstype, fs.target, err)
		}
	}
}

func letGo(target string) error {
	if target != "/" && unix.Unmount(target, unix.UMOUNT_NOFOLLOW) == nil {
		return nil
	}
	return unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
}
