// Package hungfs mounts a file system that stops answering when told to, as NFS and FUSE mounts do
// in real life. It is a FUSE server in the test's own process, so it can't outlive the test.
//
//   - A process that meets a held request sleeps in the kernel until Release or Abort; not even KILL
//     wakes it, unless the file system is told to be Killable.
//   - Nothing is cached: every look at the mount asks the server.
//   - The test must look at the mount through other programs only. Go holds on to a scheduler slot
//     while it forks a child into a directory or adds an opened file to epoll, and the server is in
//     the same process.
package hungfs

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Want says which requests are held back.
type Want int

const (
	Nothing Want = iota // everything is answered
	Open                // stat works, but opening or executing a file never returns
	Read                // opening works too, but the contents never come
	Poll                // all works but poll: who opens a file with os.Open, adding it to epoll, waits
	All                 // even stat never returns
)

// An Entry is one name in the directory: a file with contents, or, with Link, a symlink.
type Entry struct {
	Name string
	Text string
	Mode uint32
	Link string
}

// FS is a mounted file system: a single directory.
type FS struct {
	Dir string // where it is mounted

	dev     int
	stop    *os.File // closed to end the server
	entries []Entry
	ended   chan struct{}

	mu       sync.Mutex // guards the rest
	hold     Want
	killable bool
	held     []request
}

// Mount mounts a directory with these entries on dir. At the end of the test it is aborted, which
// frees all who wait for it, and unmounted.
func Mount(t testing.TB, dir string, entries ...Entry) *FS {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatalf("/dev/fuse: %v", err)
	}
	opts := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other", fd, os.Getuid(), os.Getgid())
	if err := unix.Mount("hungfs", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, opts); err != nil {
		unix.Close(fd)
		t.Fatalf("mount %s: %v", dir, err)
	}
	stopped, stop, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fs := &FS{Dir: dir, dev: fd, stop: stop, entries: entries, ended: make(chan struct{})}
	go fs.serve(stopped)
	t.Cleanup(func() {
		fs.Abort()
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("umount %s: %v", dir, err)
		}
	})
	return fs
}

// Available tells why a FUSE file system can't be mounted here; "" if it can.
func Available() string {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Sprintf("/dev/fuse: %v", err)
	}
	defer unix.Close(fd)
	dir, err := os.MkdirTemp("", "hungfs")
	if err != nil {
		return err.Error()
	}
	defer os.Remove(dir)
	opts := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd, os.Getuid(), os.Getgid())
	if err := unix.Mount("hungfs", dir, "fuse", 0, opts); err != nil {
		return fmt.Sprintf("cannot mount a FUSE file system: %v", err)
	}
	unix.Unmount(dir, unix.MNT_DETACH)
	return ""
}

// Hold stops answering requests of a kind. Those that wait already go on waiting.
func (fs *FS) Hold(what Want) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.hold = what
}

// Killable makes a signal end the wait of a held request, as on an NFS mount, instead of waiting on.
func (fs *FS) Killable() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.killable = true
}

// Held is the number of requests that wait.
func (fs *FS) Held() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return len(fs.held)
}

// Waiting is how many requests of this process wait; pid as seen by the one who mounted.
func (fs *FS) Waiting(pid int) int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := 0
	for _, r := range fs.held {
		if int(r.pid) == pid {
			n++
		}
	}
	return n
}

// Release answers all that waited, and everything from now on.
func (fs *FS) Release() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.hold = Nothing
	for _, r := range fs.held {
		fs.answer(r)
	}
	fs.held = nil
}

// Abort ends the connection: all who wait get an error, and so does everyone from now on.
func (fs *FS) Abort() {
	fs.stop.Close()
	select {
	case <-fs.ended:
	case <-time.After(10 * time.Second):
		panic("hungfs: the server did not end")
	}
}
