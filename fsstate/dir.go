// Package fsstate is everything on disk about a service, for the daemon and the clients alike: the
// service directory read into a Definition, and supervise/ with its lock, control, ok and status.
//
// What a Dir does may block for as long as the file system of the service does. Its methods are
// therefore called by one goroutine at a time that nothing else waits for.
package fsstate

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another supervise, ours or anyone's, has the service directory.
var ErrLocked = errors.New("another supervise has the lock")

// A Dir is a supervised directory: it holds the lock, and control and ok have a reader, until Close.
// It keeps three descriptors.
type Dir struct {
	path      string // of the service directory, symbolic links resolved
	super     string // of its supervise directory
	id        ID     // of its supervise directory
	elsewhere bool   // super is not below path, so it cannot tell where path has gone

	lock    int // supervise/lock, with flock and an OFD lock
	control int // supervise/control, for reading and writing: it never sees EOF
	ok      int // supervise/ok, for reading
	held    func(ID) (Held, bool)

	superFD int  // its supervise directory, until the first Complete with something to write or Settle; or -1
	fresh   bool // it was made
}

// An ID is what a directory is, whatever it is called.
type ID struct{ Dev, Ino uint64 }

// Identify follows symbolic links and tells what path is.
func Identify(path string) (id ID, isDir bool, err error) {
	var st unix.Stat_t
	if err := ignoreEINTR(func() error { return unix.Stat(path, &st) }); err != nil {
		return ID{}, false, err
	}
	return ID{uint64(st.Dev), st.Ino}, st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

// Take makes the supervise directory of the service directory path what daemontools' clients expect,
// in the order of daemontools' supervise: lock before anything is changed, and status before ok gets
// a reader, so that who gets past ok finds a status. Without a status, which is then to come by
// Complete, ok is left for that. superDir is the absolute path of the supervise directory, or empty for the
// place that SUPERVISEDIR gives.
//
// Where the file system refuses to be written to, Take returns a Dir that lacks what could not be
// made, together with an *Unrecorded that says so; the service can run all the same, and Complete
// tries again. Any other error comes without a Dir.
func Take(path, superDir string, status []byte) (*Dir, error) {
	return TakeHeld(path, superDir, status, nil)
}

// TakeHeld is Take where held knows what was handed on to this process. held is asked once.
func TakeHeld(path, superDir string, status []byte, held func(ID) (Held, bool)) (*Dir, error) {
	d, err := locate(path, superDir)
	if err != nil {
		return nil, err
	}
	d.held = held
	err = d.Complete(status, nil)
	if err != nil && !errors.As(err, new(*Unrecorded)) {
		d.Close()
		return nil, err
	}
	return d, err
}

// locate finds out where the service directory and its supervise directory are.
func locate(path, superDir string) (*Dir, error) {
	real, err := enter(path)
	if err != nil {
		return nil, &OpError{"chdir to", path, errnoOf(err)}
	}
	d := &Dir{path: real, super: superDir, lock: -1, control: -1, ok: -1, superFD: -1}
	if d.super == "" {
		d.super = SuperviseDir(os.Getenv, real)
	}
	d.elsewhere = filepath.Dir(d.super) != real
	return d, nil
}

// enter is the absolute path of a directory that we may enter, without symbolic links.
func enter(path string) (string, error) {
	fd, err := open(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if err := unix.Faccessat(fd, ".", unix.X_OK, unix.AT_EACCESS); err != nil {
		return "", err
	}
	return realPath(fd, path)
}

// realPath is the absolute path of a directory that is open, without symbolic links.
func realPath(fd int, path string) (string, error) {
	// The kernel knows, and takes one call where looking at each component takes many.
	var buf [unix.PathMax]byte
	n, err := unix.Readlink("/proc/thread-self/fd/"+strconv.Itoa(fd), buf[:])
	if err == nil && n < len(buf) && buf[0] == '/' {
		real := string(buf[:n])
		if !strings.HasSuffix(real, " (deleted)") {
			return real, nil
		}
	}
	real, err := filepath.EvalSymlinks(path) // no /proc
	if err != nil {
		return "", errnoOf(err)
	}
	return filepath.Abs(real)
}

// MakeSuper makes the supervise directory that Take would use and returns its path.
func MakeSuper(path, superDir string) (string, error) {
	d, err := locate(path, superDir)
	if err != nil {
		return "", err
	}
	fd, err := d.makeSuper()
	if err == nil {
		unix.Close(fd)
	}
	return d.super, err
}

// An Unrecorded is what a file system that cannot be written to keeps a supervised directory from
// having.
type Unrecorded struct{ Err error }

func (u *Unrecorded) Error() string { return u.Err.Error() }
func (u *Unrecorded) Unwrap() error { return u.Err }

// An OpError says what could not be done to which file.
type OpError struct {
	Op   string
	Path string
	Err  error
}

func (e *OpError) Error() string { return fmt.Sprintf("cannot %s %s: %v", e.Op, e.Path, e.Err) }
func (e *OpError) Unwrap() error { return e.Err }

// Path is where the service directory is now.
func (d *Dir) Path() string { return d.path }

// Locate finds out where the service directory is now: another one may have taken its place.
func (d *Dir) Locate() string {
	if id, _, err := Identify(d.super); err == nil && id == d.id {
		return d.path
	}
	if fd, err := d.openSuper(); err == nil {
		unix.Close(fd)
	}
	return d.path
}

// Moved says that the service directory now has another path. It matters where the supervise directory,
// which is found by itself, is not in it.
func (d *Dir) Moved(path string) {
	if d.elsewhere {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			d.path = real
		}
	}
}

// Control is the descriptor of supervise/control, opened for reading and writing and without
// blocking, or -1.
func (d *Dir) Control() int { return d.control }

// Complete makes what of the supervise directory is not there yet, replaces supervise/status as a whole, so that
// readers see the old bytes or the new ones, and rewrites supervise/resume. What is nil stays as it is; ok is made
// when there is a status.
func (d *Dir) Complete(status, resume []byte) error {
	super, err := d.hold()
	if err != nil {
		return err
	}
	if status == nil && resume == nil {
		d.superFD = super
		return nil
	}
	defer unix.Close(super)
	// What anybody has seen in the status must hold after a crash, and so is in resume by then.
	var unrecorded, unwritten error
	if resume != nil {
		unrecorded = d.rewrite(super, "resume", resume)
	}
	if status != nil {
		// Nobody gets past ok yet, so a status that was not there before need not come as a whole.
		if d.ok >= 0 || createAt(super, "status", status) != nil {
			unwritten = d.replace(super, "status", status)
		}
		if d.ok < 0 {
			if d.ok, err = d.openFIFO(super, "ok", unix.O_RDONLY); err != nil {
				return refused(err)
			}
		}
	}
	if unwritten == nil {
		unwritten = unrecorded
	}
	return unwritten
}

// SetDown makes or removes the file down of the service directory.
func (d *Dir) SetDown(down bool) error {
	path := filepath.Join(d.Locate(), "down")
	if !down {
		if err := unix.Unlink(path); err != nil && err != unix.ENOENT {
			return &OpError{"remove", path, err}
		}
		return nil
	}
	fd, err := open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_NONBLOCK|unix.O_NOCTTY, 0o644)
	if err != nil && err != unix.ENXIO && err != unix.EISDIR { // which count as down, too
		return &OpError{"make", path, err}
	}
	if err == nil {
		unix.Close(fd)
	}
	return nil
}

// Settle gives up what only taking the directory up has needed.
func (d *Dir) Settle() {
	if d.superFD >= 0 {
		unix.Close(d.superFD)
		d.superFD = -1
	}
}

// Announce rewrites supervise/resume between a decision and what comes of it, which Complete records. What fails
// will fail again then.
func (d *Dir) Announce(resume []byte) {
	if super, err := d.openSuper(); err == nil {
		overwrite(super, "resume", resume)
		unix.Close(super)
	}
}

// Resume reads supervise/resume.
func (d *Dir) Resume() (Info, error) {
	if d.fresh {
		return Info{}, unix.ENOENT
	}
	line, err := readShort(filepath.Join(d.super, "resume"))
	if err != nil {
		return Info{}, err
	}
	return ParseInfo(line)
}

// ReadResume reads the file resume of a supervise directory that somebody else may be writing: what counts is what
// is there twice.
func ReadResume(super string) (i Info, err error) {
	var before []byte
	for range 4 {
		var line []byte
		if line, err = readShort(filepath.Join(super, "resume")); err != nil {
			return Info{}, err
		}
		if i, err = ParseInfo(line); bytes.Equal(line, before) {
			break
		}
		before = line
	}
	return i, err
}

// hold takes the lock and makes control, unless that was done, and opens the supervise directory.
func (d *Dir) hold() (super int, err error) {
	if d.superFD >= 0 {
		super, d.superFD = d.superFD, -1
		return super, nil
	}
	if d.control >= 0 {
		if super, err = d.openSuper(); err != nil {
			return -1, &Unrecorded{&OpError{"open", d.super, err}}
		}
		return super, nil
	}
	if super, err = d.makeSuper(); err != nil {
		return -1, unlocked(err)
	}
	if d.held != nil {
		if h, there := d.held(d.id); there {
			d.keep(h)
		}
		d.held = nil
	}
	if d.lock < 0 {
		if err = d.takeLock(super); err != nil {
			err = unlocked(err)
		}
	}
	if err == nil && d.control < 0 {
		if d.control, err = d.openFIFO(super, "control", unix.O_RDWR); err != nil {
			err = refused(err)
		}
	}
	if err != nil {
		unix.Close(super)
		return -1, err
	}
	return super, nil
}

// makeSuper makes the supervise directory where it is missing, and opens it. Where it is a symbolic link to
// nothing, as runit's users have it on read-only roots, the link's target is made.
func (d *Dir) makeSuper() (fd int, err error) {
	made := unix.Mkdir(d.super, 0o700)
	d.fresh = made == nil
	if made == unix.EEXIST {
		made = d.makeTarget()
	}
	if made != nil {
		err := &OpError{"make", d.super, made}
		if _, serr := os.Lstat(d.super); errors.Is(serr, unix.ENOENT) {
			return -1, &Unrecorded{err} // nobody holds the lock in a directory that does not exist
		}
		return -1, err
	}
	fd, err = open(d.super, unix.O_DIRECTORY|unix.O_PATH, 0)
	var st unix.Stat_t
	if err == nil {
		if err = unix.Fstat(fd, &st); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return -1, &OpError{"use", d.super, err}
	}
	d.id = ID{uint64(st.Dev), st.Ino}
	return fd, nil
}

// makeTarget makes what the supervise directory is a link to, if it is one. Below /run, which is empty after
// every boot, so are the directories above it: Debian's runit makes those of its packages' services.
func (d *Dir) makeTarget() error {
	target, err := os.Readlink(d.super)
	if err != nil {
		return nil
	}
	d.elsewhere = true
	target = within(filepath.Dir(d.super), target)
	err = unix.Mkdir(target, 0o700)
	if err == unix.ENOENT && strings.HasPrefix(filepath.Clean(target), "/run/") {
		os.MkdirAll(filepath.Dir(target), 0o755)
		err = unix.Mkdir(target, 0o700)
	}
	if err != unix.EEXIST {
		return err
	}
	return nil
}

// takeLock takes the lock in both senses: flock is what daemontools, encore and runit test, the OFD
// lock is what s6's tools see.
func (d *Dir) takeLock(super int) error {
	path := filepath.Join(d.super, "lock")
	fd, err := openat(super, "lock", unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NONBLOCK, 0o600)
	if err == unix.EROFS {
		fd, err = openat(super, "lock", unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if err == unix.ENOENT {
			err = unix.EROFS
		}
	}
	if err != nil {
		return &OpError{"open", path, err}
	}
	if err := lockFile(fd); err != nil {
		unix.Close(fd)
		return &OpError{"lock", path, err}
	}
	d.lock = fd
	return nil
}

func lockFile(fd int) error {
	held := func(err error) error {
		if err == unix.EAGAIN || err == unix.EACCES {
			return ErrLocked
		}
		return err
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return held(err)
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &whole)
	if err == unix.EBADF || err == unix.EINVAL || err == unix.ENOLCK {
		return nil // opened for reading, or a file system without such locks: flock has to do
	}
	return held(err)
}

// openFIFO opens a FIFO without blocking and makes it where it is missing. Anything else of that
// name is put aside: it would be no channel to anyone.
func (d *Dir) openFIFO(super int, name string, mode int) (int, error) {
	return openFIFOAt(super, d.super, name, mode)
}

// openFIFOAt does so in the directory at path, which is open as super.
func openFIFOAt(super int, path, name string, mode int) (int, error) {
	failed := func(op string, err error) (int, error) {
		return -1, &OpError{op, filepath.Join(path, name), err}
	}
	var st unix.Stat_t
	for try := 0; ; try++ {
		made := unix.Mknodat(super, name, unix.S_IFIFO|0o600, 0)
		if made != nil && made != unix.EEXIST {
			// On a read-only file system one may be there.
			if unix.Fstatat(super, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
				return failed("make", made)
			}
		}
		fd, err := openat(super, name, mode|unix.O_NONBLOCK, 0)
		if err == nil {
			if made == nil {
				return fd, nil
			}
			if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
				return fd, nil
			}
			unix.Close(fd)
		} else if err != unix.EISDIR && err != unix.ENXIO && err != unix.ENOENT {
			return failed("open", err)
		}
		if try > 0 {
			return failed("use", errors.New("it is not a FIFO"))
		}
		if err := unix.Renameat(super, name, super, name+".not-a-fifo"); err != nil {
			return failed("use", fmt.Errorf("it is not a FIFO, and it cannot be put aside: %w", err))
		}
	}
}

func (d *Dir) replace(super int, name string, content []byte) error {
	if d.ok < 0 && holds(super, name, content) {
		return nil // taken up where another upkeep has left it
	}
	tmp := name + ".new"
	err := writeAt(super, tmp, content)
	if err == nil {
		err = unix.Renameat(super, tmp, super, name)
	}
	if err != nil {
		return &Unrecorded{&OpError{"write", filepath.Join(d.super, name), err}}
	}
	return nil
}

// holds tells whether a file has that content.
func holds(dirfd int, name string, content []byte) bool {
	fd, err := openat(dirfd, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var buf [1024]byte
	n, err := unix.Read(fd, buf[:])
	return err == nil && string(buf[:n]) == string(content)
}

// rewrite writes a line over a file, or makes one of it.
func (d *Dir) rewrite(super int, name string, line []byte) error {
	err := overwrite(super, name, line)
	if err == unix.ENOENT {
		err = createAt(super, name, line)
	}
	if err != nil {
		err = d.replace(super, name, line)
	}
	return err
}

// inPlace is how much of a file is written at once, whenever this process is killed: within a page.
const inPlace = 4096

// overwrite writes a line over what a file holds. That needs no space on a full disk, and makes no file that takes
// the place of another.
func overwrite(dirfd int, name string, line []byte) error {
	if len(line) > inPlace {
		return unix.EFBIG
	}
	fd, err := openat(dirfd, name, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	n, err := unix.Pwrite(fd, line, 0)
	switch {
	case err != nil:
		return err
	case n < len(line):
		return unix.ENOSPC
	case st.Size > int64(n): // what stays behind the line, nobody reads until it is cut off
		return unix.Ftruncate(fd, int64(n))
	}
	return nil
}

func writeAt(dirfd int, name string, content []byte) error {
	return writeTo(dirfd, name, unix.O_TRUNC, content)
}

// createAt fails if there is a file of that name, and leaves none behind that is not whole.
func createAt(dirfd int, name string, content []byte) error {
	err := writeTo(dirfd, name, unix.O_EXCL, content)
	if err != nil && err != unix.EEXIST {
		unix.Unlinkat(dirfd, name, 0)
	}
	return err
}

func writeTo(dirfd int, name string, how int, content []byte) error {
	fd, err := openat(dirfd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_NONBLOCK|how, 0o644)
	if err != nil {
		return err
	}
	n, err := unix.Write(fd, content)
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err == nil && n < len(content) {
		err = unix.ENOSPC
	}
	return err
}

// openSuper opens the supervise directory, wherever it has been moved since: the kernel knows the
// path of the lock that is held in it.
func (d *Dir) openSuper() (int, error) {
	fd, err := d.openSame(d.super)
	if err == nil || d.lock < 0 {
		return fd, err
	}
	lock, lerr := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", d.lock))
	if lerr != nil {
		return -1, err
	}
	moved := filepath.Dir(lock)
	if fd, merr := d.openSame(moved); merr == nil {
		if !d.elsewhere {
			d.path = filepath.Dir(moved)
		}
		d.super = moved
		return fd, nil
	}
	return -1, err
}

func (d *Dir) openSame(path string) (int, error) {
	fd, err := open(path, unix.O_DIRECTORY|unix.O_PATH, 0)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || (ID{uint64(st.Dev), st.Ino}) != d.id {
		unix.Close(fd)
		return -1, unix.ENOENT
	}
	return fd, nil
}

// Close gives the directory up: clients see that it is not supervised, and the lock is free. Nothing
// is removed, as with daemontools' supervise. The caller has stopped reading Control.
func (d *Dir) Close() {
	d.Settle()
	for _, fd := range []*int{&d.control, &d.ok, &d.lock} {
		if *fd >= 0 {
			if fd == &d.lock {
				// A child between its fork and its exec has it, too: closing ours is not enough.
				unix.Flock(*fd, unix.LOCK_UN)
				unix.FcntlFlock(uintptr(*fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK})
			}
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// refused marks the errors that say more of the machine's state at the moment than of the service.
func refused(err error) error {
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return &Unrecorded{err}
	}
	return unlocked(err)
}

// unlocked is refused for what keeps us from the lock: only where nobody else can have it is it safe to
// go on without.
func unlocked(err error) error {
	for _, errno := range []error{unix.EROFS, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, errno) {
			return &Unrecorded{err}
		}
	}
	return err
}

func open(path string, flags int, mode uint32) (int, error) {
	return openat(unix.AT_FDCWD, path, flags, mode)
}

func openat(dirfd int, path string, flags int, mode uint32) (fd int, err error) {
	err = ignoreEINTR(func() (err error) {
		fd, err = unix.Openat(dirfd, path, flags|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

func ignoreEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// errnoOf strips what os and filepath wrap around an errno, which our own message says already.
func errnoOf(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		return le.Err
	}
	if err != nil && strings.Contains(err.Error(), "too many links") {
		return unix.ELOOP
	}
	return err
}
