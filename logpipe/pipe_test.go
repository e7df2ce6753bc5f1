package logpipe_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/logpipe"
	"upkeep/test/harness"
)

func open(t *testing.T, path string) *logpipe.Pipe {
	t.Helper()
	p, err := logpipe.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// anonymous opens a pipe whose name cannot be had.
func anonymous(t *testing.T, path string) (*logpipe.Pipe, error) {
	t.Helper()
	p, err := logpipe.Open(path)
	if p == nil || err == nil {
		t.Fatalf("%v, %v; want a pipe and an error", p, err)
	}
	t.Cleanup(p.Close)
	return p, err
}

func end(t *testing.T, get func() (int, error)) *os.File {
	t.Helper()
	fd, err := get()
	if err != nil {
		t.Fatal(err)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("the flags of an end are %#x, %v: a program does not expect EAGAIN", flags, err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("an end is inherited by every child: %#x, %v", flags, err)
	}
	f := os.NewFile(uintptr(fd), "pipe")
	t.Cleanup(func() { f.Close() })
	return f
}

func descriptors() (n int) {
	for fd := range 1024 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

func write(t *testing.T, f *os.File, text string) {
	t.Helper()
	if _, err := f.WriteString(text); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, f *os.File, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(f, b); err != nil || string(b) != want {
		t.Errorf("read %q, %v; want %q", b, err, want)
	}
}

// both runs a test with a pipe of each kind.
func both(t *testing.T, test func(t *testing.T, p *logpipe.Pipe)) {
	t.Run("FIFO", func(t *testing.T) { test(t, open(t, filepath.Join(t.TempDir(), "logpipe"))) })
	t.Run("anonymous", func(t *testing.T) {
		p, _ := anonymous(t, filepath.Join(t.TempDir(), "nowhere", "logpipe"))
		test(t, p)
	})
}

func TestOpenMakesAFIFO(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "logpipe")
	before := descriptors()
	p := open(t, path)
	if got := descriptors() - before; got != 1 {
		t.Errorf("%d descriptors, want 1", got)
	}
	if st, err := os.Lstat(path); err != nil || st.Mode() != os.ModeNamedPipe|0o600 {
		t.Errorf("made %v, %v", st.Mode(), err)
	}
	p.Close()
	p.Close() // harmless
	if got := descriptors(); got != before {
		t.Errorf("%d descriptors before, %d after", before, got)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the name is gone with the pipe: %v", err)
	}
	open(t, path)
}

func TestAnonymous(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(dir+"/file", []byte("precious"), 0o644)
	os.Mkdir(dir+"/directory", 0o755)
	os.Symlink("nowhere", dir+"/dangling")
	for name, why := range map[string]string{
		"file":            "it is not a FIFO",
		"directory":       "is a directory",
		"nowhere/logpipe": "no such file or directory",
		"file/logpipe":    "not a directory",
		"dangling":        "no such file or directory",
	} {
		before := descriptors()
		path := filepath.Join(dir, name)
		p, err := anonymous(t, path)
		if want := fmt.Sprintf("cannot use %s: %s", path, why); err.Error() != want {
			t.Errorf("%s: error %q, want %q", name, err, want)
		}
		if got := descriptors() - before; got != 2 {
			t.Errorf("%s: %d descriptors, want 2", name, got)
		}
		p.Close()
		if got := descriptors(); got != before {
			t.Errorf("%s: %d descriptors before, %d after", name, before, got)
		}
	}
	if b, _ := os.ReadFile(dir + "/file"); string(b) != "precious" {
		t.Errorf("the file that is in the way now holds %q", b)
	}
}

func TestReadOnly(t *testing.T) {
	harness.NeedRoot(t)
	mnt := t.TempDir()
	if err := unix.Mount("tmpfs", mnt, "tmpfs", 0, ""); err != nil {
		harness.Skip(t, "cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(mnt, unix.MNT_DETACH) })
	there := filepath.Join(mnt, "there")
	open(t, there).Close()
	if err := unix.Mount("tmpfs", mnt, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	p := open(t, there) // what is in a FIFO is on no file system
	r, w := end(t, p.Reader), end(t, p.Writer)
	write(t, w, "line\n")
	read(t, r, "line\n")

	anonymous(t, filepath.Join(mnt, "missing"))
}

func TestTheLoggerSeesTheEnd(t *testing.T) {
	both(t, func(t *testing.T, p *logpipe.Pipe) {
		w, r := end(t, p.Writer), end(t, p.Reader)
		write(t, w, "last words\n")
		w.Close()
		// The service is dead; another one, and another logger, find the pipe as it was.
		w, other := end(t, p.Writer), end(t, p.Reader)
		other.Close()
		write(t, w, "of two\n")
		p.Close()
		read(t, r, "last words\nof two\n")
		write(t, w, "and a straggler\n")
		w.Close()
		if b, err := io.ReadAll(r); string(b) != "and a straggler\n" || err != nil {
			t.Errorf("after the end: %q, %v", b, err)
		}
	})
}

func TestNoLineIsLostWithoutALogger(t *testing.T) {
	both(t, func(t *testing.T, p *logpipe.Pipe) {
		w := end(t, p.Writer)
		r := end(t, p.Reader)
		r.Close() // the logger has died
		write(t, w, "said to nobody\n")
		w.Close() // and so has the service
		read(t, end(t, p.Reader), "said to nobody\n")
	})
}

// TestReopen: a new daemon finds the pipe by its name, with what is in it, as long as somebody has it.
func TestReopen(t *testing.T) {
	for _, keep := range map[string]func(*logpipe.Pipe) (int, error){
		"a reader": (*logpipe.Pipe).Reader, "a writer": (*logpipe.Pipe).Writer,
	} {
		path := filepath.Join(t.TempDir(), "logpipe")
		p := open(t, path)
		kept := end(t, func() (int, error) { return keep(p) })
		w := end(t, p.Writer)
		write(t, w, "from before\n")
		w.Close()
		p.Close()
		p = open(t, path)
		write(t, end(t, p.Writer), "from after\n")
		read(t, end(t, p.Reader), "from before\nfrom after\n")
		kept.Close()
	}
}

// TestEndsAreFoundWhereverTheFIFOWent: its directory may be renamed or replaced meanwhile.
func TestEndsAreFoundWhereverTheFIFOWent(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "logpipe")
	os.Mkdir(filepath.Dir(path), 0o755)
	p := open(t, path)
	w := end(t, p.Writer)
	if err := os.Rename(dir+"/a", dir+"/b"); err != nil {
		t.Fatal(err)
	}
	os.Mkdir(dir+"/a", 0o755)
	open(t, path)
	write(t, w, "moved\n")
	r := end(t, p.Reader)
	read(t, r, "moved\n")
	if err := os.RemoveAll(dir + "/b"); err != nil {
		t.Fatal(err)
	}
	write(t, end(t, p.Writer), "removed\n")
	read(t, r, "removed\n")
}

// TestTheServiceWaitsForASlowLogger: a full pipe holds up the writer, and loses nothing.
func TestTheServiceWaitsForASlowLogger(t *testing.T) {
	both(t, func(t *testing.T, p *logpipe.Pipe) {
		w, r := end(t, p.Writer), end(t, p.Reader)
		const size = 1 << 18 // four times what a pipe holds
		written := make(chan error, 1)
		go func() {
			_, err := io.Copy(w, strings.NewReader(strings.Repeat("line\n", size/5)))
			w.Close()
			written <- err
		}()
		p.Close()
		b, err := io.ReadAll(r)
		if err != nil || len(b) != size/5*5 {
			t.Errorf("%d bytes arrived, %v; want %d", len(b), err, size/5*5)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
	})
}
