package fsstate_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/test/harness"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("FSSTATE_TEST_LOCK"); path != "" {
		holdLock(path)
		return
	}
	os.Exit(m.Run())
}

// service makes an empty service directory.
func service(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "web")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

var twenty = []byte("12345678901234567890")

// take takes path and gives it up at the end of the test.
func take(t *testing.T, path string) *fsstate.Dir {
	t.Helper()
	d, err := fsstate.Take(path, "", twenty)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// tree lists what is below dir: names with modes.
func tree(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		list = append(list, fmt.Sprintf("%s %v", name, info.Mode()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// heard tells whether a client finds a reader at a FIFO.
func heard(path string) bool {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

func descriptors() (n int) {
	for fd := range 1024 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

func umask(t *testing.T, mask int) {
	old := unix.Umask(mask)
	t.Cleanup(func() { unix.Umask(old) })
}

func TestTakeMakesTheTree(t *testing.T) {
	umask(t, 0)
	dir := service(t)
	before := descriptors()
	d := take(t, dir)
	if got := descriptors() - before; got != 3 {
		t.Errorf("%d descriptors, want 3", got)
	}
	want := []string{
		"supervise drwx------", "supervise/control prw-------", "supervise/lock -rw-------",
		"supervise/ok prw-------", "supervise/status -rw-r--r--",
	}
	if got := tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("made\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	super := filepath.Join(dir, "supervise")
	if got := content(t, super+"/status"); got != string(twenty) {
		t.Errorf("status holds %q", got)
	}
	if !heard(super+"/ok") || !heard(super+"/control") {
		t.Error("ok or control have no reader")
	}
	if d.Path() != dir {
		t.Errorf("path %s, want %s", d.Path(), dir)
	}
	flags, err := unix.FcntlInt(uintptr(d.Control()), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 || flags&unix.O_ACCMODE != unix.O_RDWR {
		t.Errorf("control has the flags %#x, %v", flags, err)
	}

	d.Close()
	if heard(super+"/ok") || heard(super+"/control") {
		t.Error("ok or control have a reader after the end")
	}
	if got := tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("the end has changed files:\n%s", strings.Join(got, "\n"))
	}
	if got := descriptors(); got != before {
		t.Errorf("%d descriptors before, %d after", before, got)
	}
	d.Close() // harmless
	take(t, dir)
}

// TestStatusIsThereBeforeOk: who gets past ok finds a status, and who is locked out changes nothing.
func TestStatusIsThereBeforeOk(t *testing.T) {
	dir := service(t)
	super := filepath.Join(dir, "supervise")
	if err := os.MkdirAll(super+"/status/file", 0o700); err != nil { // no status can be written
		t.Fatal(err)
	}
	d, err := fsstate.Take(dir, "", twenty)
	var unrecorded *fsstate.Unrecorded
	if d == nil || !errors.As(err, &unrecorded) || !errors.Is(err, unix.EISDIR) {
		t.Fatalf("%v, %v; want a Dir and an Unrecorded", d, err)
	}
	defer d.Close()
	if want := "cannot write " + super + "/status: is a directory"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if !heard(super + "/control") {
		t.Error("control has no reader for want of a status")
	}
	if err := os.RemoveAll(super + "/status"); err != nil {
		t.Fatal(err)
	}
	if err := d.Complete(twenty[:18], nil); err != nil {
		t.Error(err)
	}
	if got := content(t, super+"/status"); got != string(twenty[:18]) {
		t.Errorf("status holds %q", got)
	}
}

func TestStatusIsReplacedAsAWhole(t *testing.T) {
	dir := service(t)
	d := take(t, dir)
	status := filepath.Join(dir, "supervise", "status")
	old, err := os.Open(status)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := d.Complete([]byte("another status"), nil); err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(old); string(b) != string(twenty) {
		t.Errorf("the file that a client had open now holds %q", b)
	}
	if got := content(t, status); got != "another status" {
		t.Errorf("status holds %q", got)
	}
	if err := d.Complete(nil, []byte("v=1\n")); err != nil {
		t.Fatal(err)
	}
	if got := content(t, filepath.Join(dir, "supervise", "resume")); got != "v=1\n" {
		t.Errorf("resume holds %q", got)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "supervise", "*"))
	if len(names) != 5 {
		t.Errorf("files are left over: %q", names)
	}
}

// TestTwoStatusWritersAndAReader: a reader never sees anything but one of the two.
func TestReadersSeeOneStatusOrAnother(t *testing.T) {
	dir := service(t)
	d := take(t, dir)
	done := make(chan error)
	go func() {
		for i := range 300 {
			if err := d.Complete([]byte(strings.Repeat(string(rune('a'+i%2)), 20)), nil); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		got := content(t, filepath.Join(dir, "supervise", "status"))
		if len(got) != 20 || got != string(twenty) && strings.Trim(got, got[:1]) != "" {
			t.Fatalf("read %q", got)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}

func TestLocked(t *testing.T) {
	flock := func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }
	fcntl := func(fd int) error {
		return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	}
	for name, lock := range map[string]func(int) error{"flock": flock, "OFD lock": fcntl} {
		dir := service(t)
		super := filepath.Join(dir, "supervise")
		if err := os.Mkdir(super, 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(super + "/lock")
		if err != nil {
			t.Fatal(err)
		}
		if err := lock(int(f.Fd())); err != nil {
			t.Fatal(err)
		}
		before := descriptors()
		d, err := fsstate.Take(dir, "", twenty)
		if d != nil || !errors.Is(err, fsstate.ErrLocked) || errors.As(err, new(*fsstate.Unrecorded)) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
		if want := "cannot lock " + super + "/lock: another supervise has the lock"; err.Error() != want {
			t.Errorf("%s: error %q, want %q", name, err, want)
		}
		if got := tree(t, dir); len(got) != 2 {
			t.Errorf("%s: who is locked out has made files: %q", name, got)
		}
		if got := descriptors(); got != before {
			t.Errorf("%s: %d descriptors before, %d after", name, before, got)
		}
		f.Close()
		take(t, dir)
	}
}

// TestLockIsSeenByEveryTool: daemontools and runit test it with flock, s6 with an OFD or POSIX lock.
func TestLockIsSeenByEveryTool(t *testing.T) {
	dir := service(t)
	take(t, dir)
	f, err := os.OpenFile(filepath.Join(dir, "supervise", "lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != unix.EAGAIN {
		t.Errorf("flock: %v", err)
	}
	for name, cmd := range map[string]int{"OFD": unix.F_OFD_SETLK, "POSIX": unix.F_SETLK} {
		if err := unix.FcntlFlock(uintptr(fd), cmd, &unix.Flock_t{Type: unix.F_WRLCK}); err != unix.EAGAIN {
			t.Errorf("%s lock: %v", name, err)
		}
	}
}

// holdLock is another program with a POSIX lock on path, until its input ends.
func holdLock(path string) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	}
	fmt.Println(err)
	io.Copy(io.Discard, os.Stdin)
}

func TestLockedByAnotherProcess(t *testing.T) {
	dir := service(t)
	super := filepath.Join(dir, "supervise")
	if err := os.Mkdir(super, 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "FSSTATE_TEST_LOCK="+super+"/lock", "GORACE=atexit_sleep_ms=0")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "<nil>\n" || err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	if d, err := fsstate.Take(dir, "", twenty); d != nil || !errors.Is(err, fsstate.ErrLocked) {
		t.Errorf("%v, %v", d, err)
	}
	in.Close()
	cmd.Wait()
	take(t, dir)
}

func TestSuperviseIsASymbolicLink(t *testing.T) {
	for _, test := range []struct {
		name, link, below string // below: where the files end up, from the service directory's parent
		exists            bool
	}{
		{"absolute, to nothing", "/state/web", "state/web", false},
		{"absolute, to a directory", "/state/web", "state/web", true},
		{"relative, to nothing", "../state/web", "state/web", false},
		{"relative, to a directory", "../state/web", "state/web", true},
	} {
		dir := service(t)
		parent := filepath.Dir(dir)
		link := test.link
		if filepath.IsAbs(link) {
			link = parent + link
		}
		target := filepath.Join(parent, test.below)
		if err := os.Mkdir(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if test.exists {
			if err := os.Mkdir(target, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(link, dir+"/supervise"); err != nil {
			t.Fatal(err)
		}
		d := take(t, dir)
		if got := content(t, target+"/status"); got != string(twenty) {
			t.Errorf("%s: status holds %q", test.name, got)
		}
		st, err := os.Stat(target)
		if want := fs.FileMode(0o700); err != nil || !test.exists && st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", test.name, st, err)
		}
		if d.Path() != dir {
			t.Errorf("%s: path %s, want %s", test.name, d.Path(), dir)
		}
	}
}

// TestSuperviseIsALinkBelowRun: where Debian's runit has it, with a directory above that is not there.
func TestSuperviseIsALinkBelowRun(t *testing.T) {
	harness.NeedRoot(t)
	top, err := os.MkdirTemp("/run", "upkeep-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	dir := service(t)
	if err := os.Symlink(top+"/runit/supervise/web", dir+"/supervise"); err != nil {
		t.Fatal(err)
	}
	take(t, dir)
	for path, want := range map[string]fs.FileMode{"/runit/supervise": 0o755, "/runit/supervise/web": 0o700} {
		if st, err := os.Stat(top + path); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, st, err)
		}
	}
}

func TestSuperviseCannotBe(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(super string) error
		want string
	}{
		{"a file", func(s string) error { return os.WriteFile(s, nil, 0o644) }, "cannot use %s/supervise: not a directory"},
		{"a link to a file", func(s string) error { return os.Symlink("/dev/null", s) }, "cannot use %s/supervise: not a directory"},
		{"a link to nowhere", func(s string) error { return os.Symlink("/nonexistent/a", s) }, "cannot make %s/supervise: no such file or directory"},
		{"a link to itself", func(s string) error { return os.Symlink("supervise", s) }, "cannot use %s/supervise: too many levels of symbolic links"},
	} {
		dir := service(t)
		if err := test.make(dir + "/supervise"); err != nil {
			t.Fatal(err)
		}
		d, err := fsstate.Take(dir, "", twenty)
		if d != nil || err == nil || err.Error() != fmt.Sprintf(test.want, dir) {
			t.Errorf("%s: %v, %v; want %s", test.name, d, err, fmt.Sprintf(test.want, dir))
		}
	}
}

// TestSuperviseCannotBeMade: where there is none and none can be made, nobody else can supervise, and the
// service can run without it.
func TestSuperviseCannotBeMade(t *testing.T) {
	dir, state := service(t), filepath.Join(t.TempDir(), "state")
	super := filepath.Join(state, "web", "supervise")
	d, err := fsstate.Take(dir, super, twenty)
	if d == nil || !errors.As(err, new(*fsstate.Unrecorded)) || err.Error() != "cannot make "+super+": no such file or directory" {
		t.Fatalf("%v, %v; want a Dir and an Unrecorded", d, err)
	}
	defer d.Close()
	if err := os.MkdirAll(filepath.Dir(super), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := d.Complete(twenty, nil); err != nil {
		t.Error(err)
	}
	if d, err := fsstate.Take(dir, super, twenty); d != nil || !errors.Is(err, fsstate.ErrLocked) {
		t.Errorf("a second one: %v, %v", d, err)
	}
}

func TestServiceCannotBe(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(dir+"/file", nil, 0o755)
	os.WriteFile(dir+"/plain", nil, 0o644)
	os.Symlink("loop", dir+"/loop")
	for name, want := range map[string]error{
		"nothing": unix.ENOENT, "file/below": unix.ENOTDIR, "loop": unix.ELOOP, "plain": unix.ENOTDIR,
	} {
		path := filepath.Join(dir, name)
		d, err := fsstate.Take(path, "", twenty)
		if d != nil || !errors.Is(err, want) {
			t.Errorf("%s: %v, %v; want %v", name, d, err, want)
		} else if got, want := err.Error(), fmt.Sprintf("cannot chdir to %s: %v", path, want); got != want {
			t.Errorf("%s: error %q, want %q", name, got, want)
		}
	}
}

// TestWhatIsNoFIFOIsPutAside: it would be no channel to anyone.
func TestWhatIsNoFIFOIsPutAside(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"file":          func(p string) error { return os.WriteFile(p, []byte("precious"), 0o644) },
		"directory":     func(p string) error { return os.MkdirAll(p+"/below", 0o755) },
		"dangling link": func(p string) error { return os.Symlink("/nonexistent", p) },
		"socket": func(p string) error {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Bind(fd, &unix.SockaddrUnix{Name: p})
		},
	} {
		for _, which := range []string{"control", "ok"} {
			dir := service(t)
			super := filepath.Join(dir, "supervise")
			if err := os.Mkdir(super, 0o700); err != nil {
				t.Fatal(err)
			}
			t.Chdir(super) // the address of a socket is short
			if err := make(which); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(which)
			if err != nil {
				t.Fatal(err)
			}
			take(t, dir)
			if after, err := os.Lstat(which + ".not-a-fifo"); err != nil || !os.SameFile(before, after) {
				t.Errorf("%s as %s: it was not put aside: %v", name, which, err)
			}
			if st, err := os.Lstat(which); err != nil || st.Mode() != fs.ModeNamedPipe|0o600 {
				t.Errorf("%s as %s: now it is %v, %v", name, which, st.Mode(), err)
			}
			if !heard(which) {
				t.Errorf("%s as %s: nobody listens", name, which)
			}
		}
	}
}

func TestFIFOsThatAreThereAreKept(t *testing.T) {
	dir := service(t)
	super := filepath.Join(dir, "supervise")
	if err := os.Mkdir(super, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"control", "ok"} {
		if err := unix.Mkfifo(filepath.Join(super, name), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	before := tree(t, super)
	take(t, dir)
	after := slices.DeleteFunc(tree(t, super), func(s string) bool {
		return strings.HasPrefix(s, "lock ") || strings.HasPrefix(s, "status ")
	})
	if !slices.Equal(before, after) {
		t.Errorf("%q has become %q", before, after)
	}
	if st, _ := os.Stat(super); st.Mode().Perm() != 0o755 {
		t.Errorf("the mode of supervise was changed to %v", st.Mode())
	}
}

func TestDirectoryIsRenamed(t *testing.T) {
	dir := service(t)
	d := take(t, dir)
	moved := filepath.Join(filepath.Dir(dir), "elsewhere")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	// Another one is in its place, and is none of ours.
	if err := os.MkdirAll(dir+"/supervise", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := d.Complete([]byte("after the move"), nil); err != nil {
		t.Fatal(err)
	}
	if got := content(t, moved+"/supervise/status"); got != "after the move" {
		t.Errorf("status holds %q", got)
	}
	if got := tree(t, dir); len(got) != 1 {
		t.Errorf("the directory in its place was written to: %q", got)
	}
	if d.Path() != moved {
		t.Errorf("path %s, want %s", d.Path(), moved)
	}
	// And back again.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(moved, dir); err != nil {
		t.Fatal(err)
	}
	if err := d.Complete(twenty, nil); err != nil || d.Path() != dir {
		t.Errorf("%v; path %s, want %s", err, d.Path(), dir)
	}
}

func TestDirectoryIsRemoved(t *testing.T) {
	dir := service(t)
	d := take(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	err := d.Complete(twenty, nil)
	if !errors.As(err, new(*fsstate.Unrecorded)) || !errors.Is(err, unix.ENOENT) {
		t.Errorf("error %v", err)
	}
	if want := "cannot open " + dir + "/supervise: no such file or directory"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, unix.ENOENT) {
		t.Errorf("it was made again: %v", err)
	}
}

func TestSuperviseDirIsElsewhere(t *testing.T) {
	t.Run("SUPERVISEDIR absolute", func(t *testing.T) {
		dir, state := service(t), t.TempDir()
		t.Setenv("SUPERVISEDIR", state)
		take(t, dir)
		super := filepath.Join(state, strings.ReplaceAll(dir[1:], "/", ":"))
		if got := content(t, super+"/status"); got != string(twenty) {
			t.Errorf("status holds %q", got)
		}
		if got := tree(t, dir); len(got) != 0 {
			t.Errorf("in the service directory: %q", got)
		}
	})
	t.Run("SUPERVISEDIR relative", func(t *testing.T) {
		dir := service(t)
		t.Setenv("SUPERVISEDIR", ".state")
		take(t, dir)
		if got := content(t, dir+"/.state/status"); got != string(twenty) {
			t.Errorf("status holds %q", got)
		}
	})
	t.Run("given", func(t *testing.T) {
		dir, state := service(t), t.TempDir()
		t.Setenv("SUPERVISEDIR", "/nonexistent")
		super := filepath.Join(state, "supervise")
		d, err := fsstate.Take(dir, super, twenty)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if got := content(t, super+"/status"); got != string(twenty) {
			t.Errorf("status holds %q", got)
		}
	})
}

func TestMakeSuper(t *testing.T) {
	dir := service(t)
	path, err := fsstate.MakeSuper(dir, "")
	if want := dir + "/supervise"; path != want || err != nil {
		t.Errorf("%s, %v; want %s", path, err, want)
	}
	if got := tree(t, dir); !slices.Equal(got, []string{"supervise drwx------"}) {
		t.Errorf("made %q", got)
	}
	if path, err := fsstate.MakeSuper(dir, ""); path == "" || err != nil {
		t.Errorf("again: %s, %v", path, err)
	}
	if path, err := fsstate.MakeSuper(dir+"/nothing", ""); path != "" || !errors.Is(err, unix.ENOENT) {
		t.Errorf("for nothing: %q, %v", path, err)
	}
}

func TestIdentify(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(dir+"/file", nil, 0o644)
	os.Symlink(".", dir+"/link")
	id, isDir, err := fsstate.Identify(dir)
	if !isDir || err != nil {
		t.Errorf("%v, %v", isDir, err)
	}
	if other, isDir, err := fsstate.Identify(dir + "/link"); other != id || !isDir || err != nil {
		t.Errorf("by a link: %v, %v, %v; want %v", other, isDir, err, id)
	}
	if other, isDir, err := fsstate.Identify(dir + "/file"); other == id || isDir || err != nil {
		t.Errorf("a file: %v, %v, %v", other, isDir, err)
	}
	if _, _, err := fsstate.Identify(dir + "/nothing"); err != unix.ENOENT {
		t.Errorf("nothing: %v", err)
	}
}

// tmpfs mounts one with options on a new directory, until the end of the test.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	harness.NeedRoot(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		harness.Skip(t, "cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func readOnly(t *testing.T, dir string, yes bool) {
	t.Helper()
	flags := uintptr(unix.MS_REMOUNT)
	if yes {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, ""); err != nil {
		t.Fatal(err)
	}
}

func TestReadOnly(t *testing.T) {
	mnt := tmpfs(t, "")
	dir := filepath.Join(mnt, "web")
	super := filepath.Join(dir, "supervise")
	// What is there already decides what can be had; each step makes a little more.
	for _, step := range []struct {
		name    string
		make    func() error
		control bool
		want    string
		locked  bool // nobody else can have it meanwhile
	}{
		{"nothing", func() error { return os.Mkdir(dir, 0o755) }, false, "cannot make " + super + ": read-only file system", false},
		{"supervise", func() error { return os.Mkdir(super, 0o700) }, false, "cannot open " + super + "/lock: read-only file system", false},
		{"lock", func() error { return os.WriteFile(super+"/lock", nil, 0o600) }, false, "cannot make " + super + "/control: read-only file system", true},
		{"control", func() error { return unix.Mkfifo(super+"/control", 0o600) }, true, "cannot make " + super + "/ok: read-only file system", true},
		{"ok", func() error { return unix.Mkfifo(super+"/ok", 0o600) }, true, "cannot write " + super + "/status: read-only file system", true},
	} {
		if err := step.make(); err != nil {
			t.Fatal(err)
		}
		readOnly(t, mnt, true)
		before := descriptors()
		d, err := fsstate.Take(dir, "", twenty)
		if d == nil || !errors.As(err, new(*fsstate.Unrecorded)) || !errors.Is(err, unix.EROFS) {
			t.Fatalf("%s: %v, %v; want a Dir and an Unrecorded", step.name, d, err)
		}
		if err.Error() != step.want {
			t.Errorf("%s: error %q, want %q", step.name, err, step.want)
		}
		if (d.Control() >= 0) != step.control {
			t.Errorf("%s: control is %d", step.name, d.Control())
		}
		if step.locked {
			if other, err := fsstate.Take(dir, "", twenty); other != nil || !errors.Is(err, fsstate.ErrLocked) {
				t.Errorf("%s: taken a second time: %v, %v", step.name, other, err)
			}
		}
		if err := d.Complete(twenty, nil); !errors.As(err, new(*fsstate.Unrecorded)) {
			t.Errorf("%s: Complete while it is read-only: %v", step.name, err)
		}
		d.Close()
		if got := descriptors(); got != before {
			t.Errorf("%s: %d descriptors before, %d after", step.name, before, got)
		}
		readOnly(t, mnt, false)
	}

	if err := os.RemoveAll(super); err != nil {
		t.Fatal(err)
	}
	readOnly(t, mnt, true)
	d, err := fsstate.Take(dir, "", twenty)
	if d == nil {
		t.Fatal(err)
	}
	defer d.Close()
	readOnly(t, mnt, false)
	if err := d.Complete(twenty, nil); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, dir); len(got) != 5 || content(t, super+"/status") != string(twenty) {
		t.Errorf("when it can be written to: %q", got)
	}
	if !heard(super+"/ok") || !heard(super+"/control") || d.Control() < 0 {
		t.Error("when it can be written to: ok or control have no reader")
	}
}

func TestFull(t *testing.T) {
	for _, test := range []struct {
		name, options string
		fill          func(mnt string) error
		empty         func(mnt string) error
	}{
		{"no space", "size=64k",
			func(mnt string) error {
				f, err := os.Create(mnt + "/filler")
				if err != nil {
					return err
				}
				defer f.Close()
				if _, err := io.Copy(f, zeros{}); !errors.Is(err, unix.ENOSPC) {
					return fmt.Errorf("filled with %w", err)
				}
				return nil
			},
			func(mnt string) error { return os.Truncate(mnt+"/filler", 0) }},
		{"no inodes", "nr_inodes=20",
			func(mnt string) error {
				for i := range 100 {
					err := os.WriteFile(fmt.Sprintf("%s/%d", mnt, i), nil, 0o644)
					if errors.Is(err, unix.ENOSPC) {
						return nil
					} else if err != nil {
						return err
					}
				}
				return errors.New("it is not full")
			},
			func(mnt string) error {
				for i := range 10 {
					if err := os.Remove(fmt.Sprintf("%s/%d", mnt, i)); err != nil {
						return err
					}
				}
				return nil
			}},
	} {
		mnt := tmpfs(t, test.options)
		dir := filepath.Join(mnt, "web")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := test.fill(mnt); err != nil {
			t.Fatal(err)
		}
		d, err := fsstate.Take(dir, "", twenty)
		if d == nil || !errors.As(err, new(*fsstate.Unrecorded)) || !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("%s: %v, %v; want a Dir and an Unrecorded", test.name, d, err)
		}
		defer d.Close()
		if _, err := os.Stat(dir + "/supervise/status"); err == nil {
			t.Errorf("%s: there is a status, of which nothing is true", test.name)
		}
		if err := test.empty(mnt); err != nil {
			t.Fatal(err)
		}
		if err := d.Complete(twenty, nil); err != nil {
			t.Fatalf("%s: with room again: %v", test.name, err)
		}
		if got := content(t, dir+"/supervise/status"); got != string(twenty) {
			t.Errorf("%s: status holds %q", test.name, got)
		}
		// A status that is there survives the next one's failure.
		if test.options == "size=64k" {
			if err := test.fill(mnt); err != nil {
				t.Fatal(err)
			}
			if err := d.Complete([]byte("another"), nil); !errors.As(err, new(*fsstate.Unrecorded)) {
				t.Errorf("%s: %v", test.name, err)
			}
			if got := content(t, dir+"/supervise/status"); got != string(twenty) {
				t.Errorf("%s: the old status has become %q", test.name, got)
			}
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
