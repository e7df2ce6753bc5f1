package fsstate_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/tai64"
	"upkeep/test/harness"
)

// A host is a service directory as s6's tools see it: supervised, with a status in s6's format and an
// event directory.
type host struct {
	t       *testing.T
	dir     *fsstate.Dir
	fifodir fsstate.Fifodir
}

func newHost(t *testing.T) host {
	t.Helper()
	path := service(t)
	status := fsstate.Status{Since: tai64.Now(), Want: fsstate.WantUp}
	dir, err := fsstate.Take(path, "", status.Append(nil, fsstate.FormatS6))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dir.Close)
	fifodir, err := dir.MakeFifodir()
	if err != nil {
		t.Fatal(err)
	}
	return host{t, dir, fifodir}
}

// now records a status and tells of it.
func (h host) now(s fsstate.Status, events ...fsstate.Event) {
	h.t.Helper()
	s.Since = tai64.Now()
	if err := h.dir.Complete(s.Append(nil, fsstate.FormatS6), nil); err != nil {
		h.t.Fatal(err)
	}
	if err := h.fifodir.Tell(events...); err != nil {
		h.t.Fatal(err)
	}
}

// listeners are the FIFOs of those who listen.
func (h host) listeners() []string {
	list, err := filepath.Glob(filepath.Join(h.dir.Path(), "event", "ftrig1:@*"))
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

// listen starts one of s6's programs and waits until it listens.
func (h host) listen(program string, args ...string) *harness.Process {
	h.t.Helper()
	before := len(h.listeners())
	p := harness.Start(h.t, syscall.SIGKILL, exec.Command(harness.Need(h.t, program)[0], args...))
	harness.Eventually(h.t, program+" listens", func() bool { return len(h.listeners()) > before || !p.Running() })
	return p
}

var (
	isDown     = fsstate.Status{Want: fsstate.WantDown}
	isUp       = fsstate.Status{Pid: 1, Want: fsstate.WantUp, Phase: fsstate.PhaseRun}
	isReady    = fsstate.Status{Pid: 1, Want: fsstate.WantUp, Phase: fsstate.PhaseRun, Ready: true}
	isFinished = fsstate.Status{Pid: 1, Want: fsstate.WantUp, Phase: fsstate.PhaseFinish}
)

// TestS6Waits: s6-svwait waits for what it is told of, and for nothing that is so already.
func TestS6Waits(t *testing.T) {
	for _, test := range []struct {
		flag    string
		before  fsstate.Status // for which there is something to wait for
		between []fsstate.Event
		after   fsstate.Status
		event   fsstate.Event
		code    int
	}{
		{"-u", isDown, nil, isUp, fsstate.EventUp, 0},
		{"-u", isFinished, []fsstate.Event{fsstate.EventDown}, isUp, fsstate.EventUp, 0},
		{"-U", isDown, []fsstate.Event{fsstate.EventUp}, isReady, fsstate.EventReady, 0},
		{"-U", isUp, nil, isReady, fsstate.EventReady, 0},
		{"-d", isUp, nil, isFinished, fsstate.EventDead, 0},
		{"-d", isReady, nil, isFinished, fsstate.EventDead, 0},
		{"-D", isUp, []fsstate.Event{fsstate.EventDead}, isDown, fsstate.EventDown, 0},
		{"-D", isFinished, nil, isDown, fsstate.EventDown, 0},
		{"-r", isUp, []fsstate.Event{fsstate.EventDead, fsstate.EventDown}, isUp, fsstate.EventUp, 0},
		{"-u", isDown, nil, isDown, fsstate.EventFailed, 1},
		{"-U", isUp, nil, isDown, fsstate.EventFailed, 1},
	} {
		h := newHost(t)
		h.now(test.before)
		p := h.listen("s6-svwait", test.flag, h.dir.Path())
		h.now(test.before, test.between...)
		if !p.Running() {
			t.Errorf("s6-svwait %s: ended with %d before it was so", test.flag, p.Wait())
			continue
		}
		// s6-svwait -r forgets what comes together with the end of the first half of its waiting.
		harness.Eventually(t, "s6-svwait "+test.flag+" ends", func() bool {
			h.now(test.after, test.event)
			return !p.Running()
		})
		if code := p.Wait(); code != test.code {
			t.Errorf("s6-svwait %s: exit code %d, want %d: %s", test.flag, code, test.code, p.Output())
		}
		if test.code != 0 {
			continue
		}
		// What is so already is not waited for.
		if out, code := harness.Run(t, "s6-svwait", "-t", "30000", strings.Replace(test.flag, "r", "u", 1), h.dir.Path()); code != 0 {
			t.Errorf("s6-svwait %s, again: exit code %d: %s", test.flag, code, out)
		}
	}
}

// TestS6Listens: a program that is started by s6-svlisten1 is waited for as s6-svwait waits.
func TestS6Listens(t *testing.T) {
	h := newHost(t)
	h.now(isDown)
	p := h.listen("s6-svlisten1", "-U", h.dir.Path(), "true")
	h.now(isUp, fsstate.EventUp)
	h.now(isReady, fsstate.EventReady)
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.Output())
	}
}

// TestStatusForAll: every client reads the same out of one file.
func TestStatusForAll(t *testing.T) {
	harness.Need(t, "s6-svstat", "s6-svok", "svstat", "sv")
	for _, test := range []struct {
		status        fsstate.Status
		s6, dt, runit string
	}{
		{isUp, "up (pid 1) N seconds", "up (pid 1) N seconds", "run: DIR: (pid 1) Ns"},
		{isReady, "up (pid 1) N seconds, ready N seconds", "up (pid 1) N seconds", "run: DIR: (pid 1) Ns"},
		{fsstate.Status{Pid: 1, Want: fsstate.WantDown, Phase: fsstate.PhaseRun, Paused: true, GotTerm: true},
			"up (pid 1) N seconds, paused, want down", "up (pid 1) N seconds, paused, want down", "run: DIR: (pid 1) Ns, paused, want down, got TERM"},
		{fsstate.Status{Pid: 1, Want: fsstate.WantOnce, Phase: fsstate.PhaseRun},
			"up (pid 1) N seconds, want down", "up (pid 1) N seconds", "run: DIR: (pid 1) Ns"},
		{fsstate.Status{Want: fsstate.WantUp, Exit: 3 << 8},
			"down (exitcode 3) N seconds, normally up, want up, ready N seconds", "down N seconds, normally up, want up", "down: DIR: Ns, normally up, want up"},
		{fsstate.Status{Want: fsstate.WantDown, Exit: 15},
			"down (signal SIGTERM) N seconds, normally up, ready N seconds", "down N seconds, normally up", "down: DIR: Ns, normally up"},
		{isFinished, "down (exitcode 0) N seconds, normally up, want up", "up (pid 1) N seconds", "finish: DIR: (pid 1) Ns"},
	} {
		h := newHost(t)
		h.now(test.status)
		path := h.dir.Path()
		if _, code := harness.Run(t, "s6-svok", path); code != 0 {
			t.Errorf("s6-svok: exit code %d", code)
		}
		for _, c := range []struct{ want, out string }{
			{test.s6, output(t, "s6-svstat", path)},
			{"DIR: " + test.dt, output(t, "svstat", path)},
			{test.runit, output(t, "sv", "status", path)},
		} {
			if got := anyTime(strings.ReplaceAll(strings.TrimSpace(c.out), path, "DIR")); got != c.want {
				t.Errorf("%+v: %q, want %q", test.status, got, c.want)
			}
		}
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, _ := harness.Run(t, name, args...)
	return out
}

// anyTime puts an N in the place of every number of seconds.
func anyTime(s string) string {
	words := strings.Split(s, " ")
	for i, w := range words {
		if i+1 < len(words) && strings.HasPrefix(words[i+1], "seconds") {
			words[i] = "N"
		} else if head, _, ok := strings.Cut(w, "s,"); ok && head != "" && strings.Trim(head, "0123456789") == "" {
			words[i] = "Ns,"
		} else if head, ok := strings.CutSuffix(w, "s"); ok && head != "" && strings.Trim(head, "0123456789") == "" {
			words[i] = "Ns"
		}
	}
	return strings.Join(words, " ")
}

// TestS6OwnStatus: what s6-supervise itself has written is read, too.
func TestS6OwnStatus(t *testing.T) {
	const label = "40000000 6b02abb1 0bee2e51"
	for file, want := range map[string]fsstate.Status{
		label + "40000000 6b02abb1 0bd079b6 00000000 00002c06 0000 04": {Pid: 0x2c06, Want: fsstate.WantUp, Phase: fsstate.PhaseRun},
		label + "40000000 6b02abb1 0bd079b6 00000000 00002c06 0000 0d": {Pid: 0x2c06, Want: fsstate.WantUp, Phase: fsstate.PhaseRun, Ready: true, Paused: true},
		label + "40000000 6b02abb1 0bd079b6 00000000 00002c06 000f 02": {Pid: 0x2c06, Want: fsstate.WantDown, Phase: fsstate.PhaseFinish, Exit: 15},
		label + "40000000 6b02abb1 0bd079b6 00000000 00000000 0300 08": {Want: fsstate.WantDown, Exit: 0x300},
	} {
		want.Since, _ = tai64.Parse("@" + strings.ReplaceAll(label, " ", ""))
		if got, err := fsstate.ParseStatus(unhex(t, file)); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", file, got, err, want)
		}
	}
}

func TestS6Status(t *testing.T) {
	since, _ := tai64.Parse("@" + sinceHex)
	s := fsstate.Status{Since: since, Pid: 0x01020304, Paused: true, Want: fsstate.WantUp, GotTerm: true, Phase: fsstate.PhaseRun, State: 1, Ready: true, Exit: 0x300}
	b := s.Append(nil, fsstate.FormatS6)
	if want := sinceHex + "04030201" + "01750101" + "00000000" + "0000000001020304" + "0300" + "0d"; hex.EncodeToString(b) != want {
		t.Errorf("%x, want %s", b, want)
	}
	if got, err := fsstate.ParseStatus(b); err != nil || got != s {
		t.Errorf("%+v, %v, want %+v", got, err, s)
	}
	if fsstate.LogBlock(b) != nil || fsstate.IsEncore(b, nil, false) {
		t.Error("it was taken for encore's")
	}
	down := fsstate.Status{Since: since, Want: fsstate.WantDown, Exit: 9}.Append(nil, fsstate.FormatS6)
	if fsstate.IsEncore(down, nil, false) {
		t.Error("one that is down was taken for encore's")
	}
}

func TestFifodir(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	h := newHost(t)
	var st unix.Stat_t
	if err := unix.Stat(string(h.fifodir), &st); err != nil || st.Mode != unix.S_IFDIR|0o3730 || int(st.Gid) != os.Getegid() {
		t.Errorf("mode %o, group %d, %v", st.Mode, st.Gid, err)
	}
	// One that is there is left as it is.
	if err := os.Chmod(string(h.fifodir), 0o755); err != nil {
		t.Fatal(err)
	}
	again, err := h.dir.MakeFifodir()
	if err != nil || again != h.fifodir {
		t.Errorf("again: %q, %v", again, err)
	}
	if fi, _ := os.Stat(string(h.fifodir)); fi.Mode() != os.ModeDir|0o755 {
		t.Errorf("again: mode %v", fi.Mode())
	}
}

func TestFifodirElsewhere(t *testing.T) {
	for _, test := range []struct {
		what  string
		make  func(t *testing.T, dir string) (superDir string)
		where string
		bad   string
	}{
		{"a link to nothing", func(t *testing.T, dir string) string {
			os.Symlink("../event.web", dir+"/event")
			return ""
		}, "../event.web", ""},
		{"a link to a directory", func(t *testing.T, dir string) string {
			os.Mkdir(dir+"/../event.web", 0o755)
			os.Symlink("../event.web", dir+"/event")
			return ""
		}, "../event.web", ""},
		{"a file", func(t *testing.T, dir string) string {
			harness.WriteFile(t, dir+"/event", "", 0o644)
			return ""
		}, "", "not a directory"},
		{"a link to itself", func(t *testing.T, dir string) string {
			os.Symlink("event", dir+"/event")
			return ""
		}, "", "too many levels"},
		{"a state directory", func(t *testing.T, dir string) string {
			os.MkdirAll(dir+"/../state/web", 0o755)
			return filepath.Clean(dir + "/../state/web/supervise")
		}, "../state/web/event", ""},
		{"supervise by another name", func(t *testing.T, dir string) string {
			return filepath.Clean(dir + "/../etc:web")
		}, "event", ""},
	} {
		path := service(t)
		dir, err := fsstate.Take(path, test.make(t, path), twenty)
		if err != nil {
			t.Fatal(err)
		}
		fifodir, err := dir.MakeFifodir()
		dir.Close()
		switch {
		case test.bad != "":
			if err == nil || !strings.Contains(err.Error(), "cannot make "+path+"/event: ") || !strings.Contains(err.Error(), test.bad) {
				t.Errorf("%s: %q, %v", test.what, fifodir, err)
			}
		case err != nil:
			t.Errorf("%s: %v", test.what, err)
		default:
			got, gerr := filepath.EvalSymlinks(string(fifodir))
			want := filepath.Join(path, test.where)
			if fi, serr := os.Stat(want); got != want || gerr != nil || serr != nil || !fi.IsDir() {
				t.Errorf("%s: %s, want %s: %v, %v", test.what, got, want, gerr, serr)
			}
		}
	}
}

// listener makes a FIFO by which it listens and returns a descriptor of it.
func listener(t *testing.T, dir fsstate.Fifodir, name string) int {
	t.Helper()
	path := filepath.Join(string(dir), name)
	if err := unix.Mkfifo(path, 0o622); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func readAll(fd int) string {
	buf := make([]byte, 1<<17)
	n, _ := unix.Read(fd, buf)
	return string(buf[:max(n, 0)])
}

const aListener = "ftrig1:@400000006b02abb10bee2e51:abcdef"

func TestTell(t *testing.T) {
	h := newHost(t)
	fd := listener(t, h.fifodir, aListener)
	other := listener(t, h.fifodir, strings.Replace(aListener, "a", "b", 1))
	hidden := listener(t, h.fifodir, "."+aListener)
	long := listener(t, h.fifodir, aListener+"x")
	for _, events := range [][]fsstate.Event{{fsstate.EventDead}, nil, {fsstate.EventFailed, fsstate.EventDown}} {
		if err := h.fifodir.Tell(events...); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct {
		fd   int
		want string
	}{"a listener": {fd, "dOD"}, "another": {other, "dOD"}, "one who is not ready": {hidden, ""}, "another name": {long, ""}} {
		if got := readAll(c.fd); got != c.want {
			t.Errorf("%s heard %q, want %q", what, got, c.want)
		}
		unix.Close(c.fd)
	}

	// Who is gone is removed, and nobody else.
	if err := h.fifodir.Tell(fsstate.EventUp); err != nil {
		t.Fatal(err)
	}
	if left := h.listeners(); len(left) != 1 || filepath.Base(left[0]) != aListener+"x" {
		t.Errorf("left: %q", left)
	}
}

// TestTellWhoDoesNotRead: a listener with a full FIFO is not waited for.
func TestTellWhoDoesNotRead(t *testing.T) {
	h := newHost(t)
	fd := listener(t, h.fifodir, aListener)
	defer unix.Close(fd)
	full, err := unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, 4096)
	if err != nil {
		t.Fatal(err)
	}
	for range full + 10 {
		if err := h.fifodir.Tell(fsstate.EventUp); err != nil {
			t.Fatal(err)
		}
	}
	if got := readAll(fd); got != strings.Repeat("u", full) {
		t.Errorf("heard %d", len(got))
	}
	if len(h.listeners()) != 1 {
		t.Error("it was removed")
	}
}

// TestTellWhatIsNoFIFO: what only has a listener's name is neither written to nor followed.
func TestTellWhatIsNoFIFO(t *testing.T) {
	h := newHost(t)
	away := filepath.Join(t.TempDir(), "file")
	for name, make := range map[string]func(path string) error{
		"ftrig1:@400000006b02abb10bee2e51:000000": func(p string) error { return os.WriteFile(p, []byte("x"), 0o644) },
		"ftrig1:@400000006b02abb10bee2e51:000001": func(p string) error {
			os.WriteFile(away, []byte("x"), 0o644)
			return os.Symlink(away, p)
		},
		"ftrig1:@400000006b02abb10bee2e51:000002": func(p string) error { return os.Mkdir(p, 0o755) },
	} {
		if err := make(filepath.Join(string(h.fifodir), name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.fifodir.Tell(fsstate.EventUp); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{away, h.listeners()[0]} {
		if b, err := os.ReadFile(path); string(b) != "x" {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
	if n := len(h.listeners()); n != 3 {
		t.Errorf("%d are left", n)
	}
}

func TestTellNobody(t *testing.T) {
	if err := fsstate.Fifodir("").Tell(fsstate.EventUp); err != nil {
		t.Error(err)
	}
	gone := fsstate.Fifodir(service(t) + "/event")
	if err := gone.Tell(fsstate.EventUp); err == nil || err.Error() != "cannot open "+string(gone)+": no such file or directory" {
		t.Errorf("%v", err)
	}
}

func TestDeathTally(t *testing.T) {
	s6svdt := harness.Need(t, "s6-svdt")[0]
	h := newHost(t)
	var tally []byte
	for i, status := range []unix.WaitStatus{0, 3 << 8, unix.WaitStatus(unix.SIGTERM), unix.WaitStatus(unix.SIGSEGV) | 0x80, 255 << 8} {
		at := tai64.FromTime(time.Unix(1000000000+int64(i), 0))
		tally = fsstate.AppendDeath(tally, fsstate.Death{At: at, Status: status}, 4)
	}
	if err := h.dir.WriteTally(tally); err != nil {
		t.Fatal(err)
	}
	out, code := harness.Run(t, s6svdt, h.dir.Path())
	var ends []string
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		ends = append(ends, strings.Join(words[1:], " "))
	}
	if want := "exitcode 3,signal SIGTERM,signal SIGSEGV,exitcode 255"; strings.Join(ends, ",") != want || code != 0 {
		t.Errorf("s6-svdt: exit code %d\n%s\nwant %s", code, out, want)
	}
	if rest := fsstate.AppendDeath(bytes.Clone(tally), fsstate.Death{}, 0); len(rest) != 0 {
		t.Errorf("with room for none: % x", rest)
	}
}
