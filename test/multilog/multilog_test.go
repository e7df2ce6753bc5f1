// Package multilog_test compares our multilog with daemontools' own, and kills it where it hurts.
package multilog_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/test/harness"
)

// A logger is a multilog whose standard input the test writes.
type logger struct {
	*harness.Process
	t     *testing.T
	read  *os.File // the logger's end, which outlives it
	write *os.File
}

// startLogger starts a multilog with an empty pipe as its input.
func startLogger(t *testing.T, dir, program string, script ...string) *logger {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	l := &logger{t: t, read: r, write: w}
	l.Process = l.start(dir, program, script...)
	return l
}

// start starts a multilog on the pipe.
func (l *logger) start(dir, program string, script ...string) *harness.Process {
	cmd := exec.Command(program, script...)
	cmd.Dir = dir
	cmd.Stdin = l.read
	return harness.Start(l.t, syscall.SIGKILL, cmd)
}

func (l *logger) say(text string) {
	l.t.Helper()
	if _, err := l.write.WriteString(text); err != nil {
		l.t.Fatal(err)
	}
}

// unread is how many bytes are in the pipe.
func (l *logger) unread() int {
	n, err := unix.IoctlGetInt(int(l.read.Fd()), unix.TIOCINQ)
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

// settled waits until what has been said is read and the logger waits for more.
func (l *logger) settled() {
	l.t.Helper()
	// Of its input, not of what the runtime asks of the kernel when it begins.
	waits := []string{fmt.Sprint(unix.SYS_POLL, " "), fmt.Sprint(unix.SYS_PPOLL, " "), fmt.Sprint(unix.SYS_READ, " 0x0 ")}
	harness.Eventually(l.t, "the logger waits", func() bool {
		if l.unread() > 0 {
			return false
		}
		// In which of its threads is not ours to say.
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", l.Cmd.Process.Pid))
		return slices.ContainsFunc(threads, func(path string) bool {
			text, _ := os.ReadFile(path)
			begins := func(call string) bool { return strings.HasPrefix(string(text), call) }
			return slices.ContainsFunc(waits, begins) && l.unread() == 0
		})
	})
}

// signal sends a signal.
func (l *logger) signal(s syscall.Signal) {
	l.t.Helper()
	if err := l.Cmd.Process.Signal(s); err != nil {
		l.t.Fatal(err)
	}
}

// delivered waits until a signal has reached the logger. The original may read what is said before that.
func (l *logger) delivered(s syscall.Signal) {
	l.t.Helper()
	harness.Eventually(l.t, "the signal is delivered", func() bool {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.Cmd.Process.Pid))
		_, after, _ := strings.Cut(string(status), "\nShdPnd:")
		var pending uint64
		_, err := fmt.Sscanf(after, "%x", &pending)
		return err == nil && pending&(1<<(s-1)) == 0
	})
}

var oldName = regexp.MustCompile(`^@[0-9a-f]{24}\.`)

// files lists what is in a log directory: the old files in the order of their names, then the others.
func files(t *testing.T, dir string) (old, other []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if oldName.MatchString(e.Name()) {
			old = append(old, e.Name())
		} else {
			other = append(other, e.Name())
		}
	}
	return old, other
}

func contents(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mode(t *testing.T, path ...string) fs.FileMode {
	t.Helper()
	st, err := os.Lstat(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return st.Mode().Perm()
}

// all is what a log directory holds, in order.
func all(t *testing.T, dir string) string {
	t.Helper()
	old, _ := files(t, dir)
	var b strings.Builder
	for _, name := range old {
		b.WriteString(contents(t, dir, name))
	}
	return b.String() + contents(t, dir, "current")
}

// run runs a multilog to its end with an input that is read as fast as it can.
func run(t *testing.T, dir string, input []byte, script ...string) (stderr string, code int) {
	t.Helper()
	cmd := exec.Command(harness.Bin(t, "multilog"), script...)
	cmd.Dir = dir
	cmd.Stdin = bytes.NewReader(input)
	return harness.RunCmd(t, cmd)
}

func TestObservedSizes(t *testing.T) {
	dir := t.TempDir()
	var input bytes.Buffer
	for i := range 2000 {
		fmt.Fprintf(&input, "line %06d\n", i)
	}
	if out, code := run(t, dir, input.Bytes(), "s4096", "n3", "./d"); out != "" || code != 0 {
		t.Errorf("exit code %d, %q", code, out)
	}
	old, _ := files(t, dir+"/d")
	if len(old) != 2 {
		t.Errorf("%d old files, want 2", len(old))
	}
	for _, name := range old {
		if n := len(contents(t, dir, "d", name)); n < 2096 || n > 2600 || mode(t, dir, "d", name) != 0o744 {
			t.Errorf("%s has %d bytes, %v", name, n, mode(t, dir, "d", name))
		}
	}
	if mode(t, dir, "d/current") != 0o744 || !strings.HasSuffix(input.String(), all(t, dir+"/d")) {
		t.Errorf("current is %v", mode(t, dir, "d/current"))
	}

	run(t, dir, bytes.Repeat([]byte("x"), 20000), "s4096", "n5", "./x")
	var sizes []int
	old, _ = files(t, dir+"/x")
	for _, name := range old {
		sizes = append(sizes, len(contents(t, dir, "x", name)))
	}
	if !slices.Equal(sizes, []int{4096, 4096, 4096, 3617}) || contents(t, dir, "x/current") != "" {
		t.Errorf("one endless line made files of %d", sizes)
	}
}

func TestTermLeavesTheRestInThePipe(t *testing.T) {
	for name, program := range programs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l := startLogger(t, dir, program, "./d")
			l.say("one\n")
			l.settled()
			l.signal(syscall.SIGTERM)
			if code := l.Wait(); code != 0 || contents(t, dir, "d/current") != "one\n" || mode(t, dir, "d/current") != 0o744 {
				t.Errorf("exit code %d, %q", code, all(t, dir+"/d"))
			}

			m := startLogger(t, dir, program, "./d")
			m.say("two, ")
			m.settled()
			m.signal(syscall.SIGTERM)
			m.delivered(syscall.SIGTERM)      // a TERM is heard where the original waits
			time.Sleep(10 * time.Millisecond) // in ours the thread that got it may still have to say so
			m.say("half and half\nthree\nfour")
			if code := m.Wait(); code != 0 || contents(t, dir, "d/current") != "one\ntwo, half and half\n" {
				t.Errorf("exit code %d, %q", code, all(t, dir+"/d"))
			}
			if n := m.unread(); n != len("three\nfour") {
				t.Errorf("%d bytes are left in the pipe", n)
			}

			m.Process = m.start(dir, program, "./d")
			m.settled()
			m.signal(syscall.SIGTERM)
			m.delivered(syscall.SIGTERM)
			m.write.Close()
			if code := m.Wait(); code != 0 || contents(t, dir, "d/current") != "one\ntwo, half and half\nthree\nfour\n" {
				t.Errorf("exit code %d, %q", code, all(t, dir+"/d"))
			}
		})
	}
}

// TestTermBeforeInput: a line that is written after the TERM was sent is the next reader's.
func TestTermBeforeInput(t *testing.T) {
	read := 0
	for range 50 {
		dir := t.TempDir()
		l := startLogger(t, dir, harness.Bin(t, "multilog"), "./d")
		l.settled()
		l.signal(syscall.SIGTERM)
		l.say("too late\n")
		code, left := l.Wait(), l.unread()
		if text := contents(t, dir, "d/current"); code != 0 || text != "too late\n"[left:] {
			t.Fatalf("exit code %d, %d bytes left, %q in the log", code, left, text)
		}
		if left == 0 {
			read++
		}
	}
	if read > 5 { // where another thread has got the signal, and no processor
		t.Errorf("%d lines were read after TERM", read)
	}
}

func TestAlarmRotates(t *testing.T) {
	for name, program := range programs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l := startLogger(t, dir, program, "./a", "-*", "./empty")
			l.say("one\npart")
			l.settled()
			l.signal(syscall.SIGALRM)
			harness.Eventually(t, "there is an old file", func() bool { old, _ := files(t, dir+"/a"); return len(old) == 1 })
			l.settled()
			l.say("ial\n")
			l.write.Close()
			l.Wait()
			old, _ := files(t, dir+"/a")
			if contents(t, dir, "a", old[0]) != "one\n" || contents(t, dir, "a/current") != "partial\n" {
				t.Errorf("%q", all(t, dir+"/a"))
			}
			if old, _ := files(t, dir+"/empty"); len(old) != 0 {
				t.Errorf("an empty file was rotated to %q", old)
			}
		})
	}
}

func TestHangupReopens(t *testing.T) {
	dir := t.TempDir()
	l := startLogger(t, dir, harness.Bin(t, "multilog"), "./d", "=st")
	l.say("one\npart")
	l.settled()
	if err := os.Rename(dir+"/d/current", dir+"/moved"); err != nil {
		t.Fatal(err)
	}
	os.Remove(dir + "/st")
	l.signal(syscall.SIGHUP)
	harness.Eventually(t, "current is back", func() bool { _, err := os.Stat(dir + "/d/current"); return err == nil })
	l.settled()
	l.signal(syscall.SIGHUP) // and again: the same file
	l.say("ial\n")
	l.write.Close()
	if code := l.Wait(); code != 0 || contents(t, dir, "moved") != "one\n" || contents(t, dir, "d/current") != "partial\n" {
		t.Errorf("exit code %d, %q, then %q", code, contents(t, dir, "moved"), all(t, dir+"/d"))
	}
	if got := contents(t, dir, "st"); !strings.HasPrefix(got, "partial\n") || len(got) != 1001 {
		t.Errorf("the status file holds %q", got)
	}
}

// TestOtherSignals: what it does not know kills it, as it kills the original, and current is not marked.
func TestOtherSignals(t *testing.T) {
	for name, program := range programs(t) {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGXCPU} {
			dir := t.TempDir()
			l := startLogger(t, dir, program, "./d")
			l.say("one\npart")
			l.settled()
			l.signal(signal)
			if code := l.Wait(); code != 128+int(signal) || l.Output() != "" {
				t.Errorf("%s after %v: exit code %d, %q", name, signal, code, l.Output())
			}
			if got := contents(t, dir, "d/current"); got != "one\n" || mode(t, dir, "d/current") != 0o644 {
				t.Errorf("%s after %v: %q, %v", name, signal, got, mode(t, dir, "d/current"))
			}
		}
	}
}

// TestEverythingReadIsOnFile: before it waits, but for the start of a line.
func TestEverythingReadIsOnFile(t *testing.T) {
	dir := t.TempDir()
	l := startLogger(t, dir, harness.Bin(t, "multilog"), "./a", "+x", "./b")
	long := strings.Repeat("y", 2000)
	for _, c := range []struct{ say, file string }{
		{"one\n", "one\n"}, {"two\nthr", "one\ntwo\n"}, {"ee\n", "one\ntwo\nthree\n"}, {"\n", "one\ntwo\nthree\n\n"},
		{long, "one\ntwo\nthree\n\n" + long}, {"z", "one\ntwo\nthree\n\n" + long + "z"},
	} {
		l.say(c.say)
		l.settled()
		for _, d := range []string{"a", "b"} {
			if got := contents(t, dir, d, "current"); got != c.file {
				t.Fatalf("after %q: %s holds %q", c.say, d, got)
			}
		}
	}
}

// TestMemory: no kind of input makes a logger take more of it, however long that goes on.
func TestMemory(t *testing.T) {
	const (
		limit    = 5 << 10 // kB; more threads take more
		oneByOne = "lines one by one"
	)
	lines := strings.Repeat(strings.Repeat("x", 99)+"\n", 600)
	for _, c := range []struct {
		name, chunk string
		times       int
		script      string
	}{
		{"endless", strings.Repeat("x", 1<<12), 10000, "t s1000000 n3 ./d"},
		{"empty", strings.Repeat("\n", 1<<16), 150, "t s1000000 n3 ./d"},
		{"short", strings.Repeat("x\n", 1<<15), 150, "t s1000000 n3 ./d"},
		{"lines", lines, 500, "t s1000000 n3 ./d"},
		{"lines in small files", lines, 100, "t s4096 n3 ./d"},
		{"lines for two", lines, 100, "t -*foo s1000000 n3 ./d ./e"},
		{oneByOne, "a line\n", 60000, "t s1000000 n3 ./d"},
	} {
		l := startLogger(t, t.TempDir(), harness.Bin(t, "multilog"), strings.Fields(c.script)...)
		for range c.times {
			l.say(c.chunk)
			for c.name == oneByOne && l.unread() > 0 {
				runtime.Gosched()
			}
		}
		l.settled()
		status := contents(t, fmt.Sprintf("/proc/%d/status", l.Cmd.Process.Pid))
		var kB int
		_, after, _ := strings.Cut(status, "VmHWM:")
		if fmt.Sscan(after, &kB); kB == 0 || kB > limit {
			t.Errorf("%s: %d kB", c.name, kB)
		}
		t.Logf("%s: %d kB", c.name, kB)
		l.signal(syscall.SIGKILL)
	}
}

// programs are ours and daemontools' multilog.
func programs(t *testing.T) map[string]string {
	return map[string]string{"ours": harness.Bin(t, "multilog"), "daemontools": harness.Need(t, "multilog")[0]}
}

// tree is what a directory holds, for comparison: modes and contents by name, with the old files that
// before does not have named by their order.
func tree(t *testing.T, root string, before map[string]bool) map[string]string {
	t.Helper()
	result := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if e.IsDir() {
			result[name] = fmt.Sprint(mode(t, path))
			return nil
		}
		base := filepath.Base(name)
		if oldName.MatchString(base) && !before[name] {
			for n := 1; ; n++ {
				numbered := fmt.Sprintf("%s/@%03d%s", filepath.Dir(name), n, base[25:])
				if taken := slices.ContainsFunc(slices.Collect(maps.Keys(result)), func(k string) bool {
					return strings.HasPrefix(k, numbered[:strings.LastIndexByte(numbered, '@')+4])
				}); !taken {
					name = numbered
					break
				}
			}
		}
		result[name] = fmt.Sprintf("%v %s", mode(t, path), unlabelled(contents(t, path)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

var label = regexp.MustCompile(`@4000000[0-9a-f]{17}`)

func unlabelled(text string) string { return label.ReplaceAllString(text, "@LABEL") }
