package reaper_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/reaper"
)

// TestWhatTheProcessFinds holds for the direct way and for the trampoline alike.
func TestWhatTheProcessFinds(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "run")); err != nil {
		t.Fatal(err)
	}
	here, _ := os.Getwd()
	for _, remote := range []bool{false, true} {
		for _, test := range []struct {
			spec    reaper.Spec
			dir     string
			session bool // its own
			group   bool
		}{
			{reaper.Spec{Path: "./run", Args: []string{"./run"}, Dir: dir, Setsid: true}, dir, true, true},
			{reaper.Spec{Path: "./run", Args: []string{"./run", "-x", "", "a b"}, Dir: dir}, dir, false, false},
			{reaper.Spec{Path: self, Args: []string{"another name"}, Setpgid: true}, here, false, true},
		} {
			r, w := pipe(t)
			test.spec.Stdout, test.spec.Remote, test.spec.Env = w, remote, []string{role, quickExit}
			name := fmt.Sprintf("%q, remote %v", test.spec.Args, remote)
			o := start(t, test.spec)
			unix.Close(w)
			var d description
			if err := json.NewDecoder(r).Decode(&d); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e := o.wait(t); e.Status != 0 || e.Launch != nil {
				t.Errorf("%s: %s, %v", name, describeEnd(e.Status), e.Launch)
			}
			if pid := <-o.pid; d.Pid != pid {
				t.Errorf("%s: pid %d, its owner was told %d", name, d.Pid, pid)
			}
			if !slices.Equal(d.Args, test.spec.Args) {
				t.Errorf("%s: its arguments are %q", name, d.Args)
			}
			if d.Dir != test.dir {
				t.Errorf("%s: it is in %s, want %s", name, d.Dir, test.dir)
			}
			if !slices.Equal(d.Descriptors, []int{0, 1, 2}) || d.Nonblocking != nil {
				t.Errorf("%s: its descriptors are %v, without blocking %v", name, d.Descriptors, d.Nonblocking)
			}
			if (d.Sid == d.Pid) != test.session || (d.Pgid == d.Pid) != test.group {
				t.Errorf("%s: pid %d, session %d, group %d", name, d.Pid, d.Sid, d.Pgid)
			}
		}
	}
}

// TestLimitsAndSignals: the Go runtime changes both for itself, and a service must not see it.
func TestLimitsAndSignals(t *testing.T) {
	const script = "ulimit -Sn; ulimit -Hn; exec grep -E '^Sig(Blk|Ign)' /proc/self/status"
	var said [2]string
	for i, remote := range []bool{false, true} {
		r, w := pipe(t)
		s := shell(script)
		s.Stdout, s.Remote = w, remote
		o := start(t, s)
		unix.Close(w)
		out, err := io.ReadAll(r)
		if e := o.wait(t); err != nil || e.Status != 0 {
			t.Fatalf("remote %v: %v, %s", remote, err, describeEnd(e.Status))
		}
		// make, when it is what runs the tests, leaves one of the C library's own signals ignored.
		said[i] = strings.Replace(string(out), "SigIgn:\t0000000080000000", "SigIgn:\t0000000000000000", 1)
		for _, mask := range []string{"SigBlk", "SigIgn"} {
			if !strings.Contains(said[i], mask+":\t0000000000000000\n") {
				t.Errorf("remote %v: %s is not empty:\n%s", remote, mask, said[i])
			}
		}
	}
	if said[0] != said[1] {
		t.Errorf("directly:\n%sby the trampoline:\n%s", said[0], said[1])
	}
}

func TestDescriptorsDoNotLeak(t *testing.T) {
	dir := t.TempDir()
	round := func() {
		for _, remote := range []bool{false, true} {
			s := shell("exit 0")
			s.Remote = remote
			start(t, s).wait(t)
			s = reaper.Spec{Path: "./nothing", Args: []string{"./nothing"}, Dir: dir, Remote: remote}
			if o := newOwner(); try(t, s, o) == nil {
				o.wait(t)
			}
			// The trampoline itself cannot be started.
			s = shell("exit 0")
			s.Remote, s.Args = remote, []string{"sh", "nul \x00 byte"}
			if o := newOwner(); try(t, s, o) != unix.EINVAL {
				t.Error("an argument with a NUL byte was accepted")
			}
		}
	}
	round()
	before := descriptors(t)
	for range 20 {
		round()
	}
	if after := descriptors(t); !slices.Equal(before, after) {
		t.Errorf("open before %v, after %v", before, after)
	}
}

// descriptors lists our open descriptors.
func descriptors(t *testing.T) (fds []int) {
	t.Helper()
	for fd := range 256 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds
}

func TestTooManyDescriptors(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	o := newOwner()
	s := shell("exit 0")
	s.Remote = true
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	s.Stdin, s.Stdout, s.Stderr = null, null, null
	// Filled up, not limited: a limit that is set here is one that children inherit from then on.
	var hogs []int
	for {
		fd, err := unix.FcntlInt(uintptr(null), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			break
		}
		if hogs = append(hogs, fd); len(hogs) > 1<<17 {
			break
		}
	}
	full := len(hogs) <= 1<<17
	if full {
		err = children.Start(s, o)
	}
	for _, fd := range hogs {
		unix.Close(fd)
	}
	if !full {
		t.Skip("more than 131072 descriptors are allowed")
	}
	if err != unix.EMFILE {
		t.Errorf("started with all descriptors in use: %v, want %v", err, unix.EMFILE)
	}
	if told := o.told(); len(told) != 0 {
		t.Errorf("its owner was told %v", told)
	}
}

// TestNotice: a further descriptor has the number that is asked for, whichever way the program is executed.
func TestNotice(t *testing.T) {
	for _, remote := range []bool{false, true} {
		for _, number := range []string{"1", "3", "4", "9"} {
			r, w := pipe(t)
			fd, _ := strconv.Atoi(number)
			o := start(t, reaper.Spec{
				Path: "/bin/sh", Args: []string{"sh", "-c", "echo yes >&" + number + "; for i in 3 4 5 9 10; do [ $i = " + number + " ] || ! (: >&$i) 2>/dev/null || echo $i; done >&" + number},
				Stdout: unix.Stdout, Stderr: unix.Stderr, Notice: w, NoticeFD: fd, Remote: remote,
			})
			unix.Close(w)
			text, err := io.ReadAll(r)
			if e := o.wait(t); err != nil || string(text) != "yes\n" || e.Launch != nil {
				t.Errorf("%s, remote %v: it has written %q, %v; %v", number, remote, text, err, e.Launch)
			}
		}
	}
}
