package logpipe

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// testLog opens a log whose names are relative to a new directory, which is not the working directory.
func testLog(t *testing.T, script ...string) (l *Log, dir string, said *bytes.Buffer) {
	t.Helper()
	dir, said = t.TempDir(), new(bytes.Buffer)
	l, err := OpenLog(ParseScript(script), environment(t, dir, said))
	if err != nil {
		t.Fatal(err)
	}
	return l, dir, said
}

func environment(t *testing.T, dir string, said *bytes.Buffer) Environment {
	t.Helper()
	start, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(start) })
	say := func(text string, err error) { fmt.Fprintln(said, text, err) }
	return Environment{Start: start, Alerts: said, Warn: say, Fail: say, Pause: time.Millisecond}
}

// feed gives a log what it would read.
func feed(l *Log, input []byte) {
	for n := 0; len(input) > 0; input = input[n:] {
		n = copy(l.input(), input)
		l.take(n)
	}
}

// holds returns what a log directory holds: the old files, a bar after each, and current.
func holds(t *testing.T, dir string) string {
	t.Helper()
	old, _ := filepath.Glob(dir + "/@*")
	var b strings.Builder
	for _, path := range append(old, dir+"/current") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if b.Write(text); path != dir+"/current" {
			b.WriteString("|")
		}
	}
	return b.String()
}

func TestStamps(t *testing.T) {
	for stamp, want := range map[string]string{
		"t": "@4000000037c219bf2ef02e94 ", "T": "935467445.787492 ", "x": "",
	} {
		l, dir, _ := testLog(t, stamp, "./d")
		at := time.Unix(935467445, 787492999)
		l.arrived = func() time.Time { return at }
		feed(l, []byte("one\n\ntw"))
		at = at.Add(-time.Hour) // which the second half of a line does not show
		feed(l, []byte("o\n"))
		l.Close()
		text := want + "one\n" + want + "\n" + want + "two\n"
		if got := holds(t, dir+"/d"); got != text {
			t.Errorf("%s: %q, want %q", stamp, got, text)
		}
	}
	if got := string(fractions.append(nil, time.Unix(0, 1500))); got != "0.000001 " {
		t.Errorf("fractions of zeros: %q", got)
	}
}

// TestEncore: w names the last part of the name, and F acts on what is right of it alone.
func TestEncore(t *testing.T) {
	l, dir, said := testLog(t, "-?ine", "F", "-*[0-9]", "wok", "./d")
	feed(l, []byte("line\n?ine\n line 1\nline 2 \nline\n"))
	l.Rotate()
	l.Close()
	if got := holds(t, dir+"/d"); got != "line\nline 2 \nline\n|" || said.Len() > 0 {
		t.Errorf("%q, said %q", got, said)
	}
	if names, _ := filepath.Glob(dir + "/d/@*"); len(names) != 1 || filepath.Ext(names[0]) != ".ok" {
		t.Errorf("%q", names)
	}
}

// TestPieces: it makes no difference how the input was cut up.
func TestPieces(t *testing.T) {
	const stamp = "@4000000037c219bf2ef02e94 "
	var mixed []byte
	for i := range 300 {
		mixed = fmt.Appendf(mixed, "%d %s\n", i, strings.Repeat("x", i*i%1100))
	}
	short := bytes.Repeat([]byte("\n\na\n"), 50000)
	long := slices.Concat(mixed, bytes.Repeat([]byte("long "), 70000), []byte("\n"), mixed, short)
	for _, c := range []struct {
		input  []byte
		script []string
		sizes  []int
	}{
		{mixed, []string{"s4096", "n1000", "./d"}, []int{1, 7, 999, 1000, 1001, 65536}},
		{mixed, []string{"t", "s4096", "n1000", "./d"}, []int{1, 7, 999, 1000, 1001, 65536}},
		{mixed, []string{"-*7*", "+*3*", "s4096", "n1000", "./d"}, []int{1, 7, 999, 1000, 1001, 65536}},
		{short, []string{"t", "s10000000", "./d"}, []int{11, 100000, 130000}},
		{long, []string{"t", "s10000000", "./d"}, []int{1001, 100000, 130000}},
		{long, []string{"s10000000", "./d"}, []int{1001, 100000, 130000}},
	} {
		var want string
		for _, size := range append([]int{len(c.input)}, c.sizes...) {
			l, dir, _ := testLog(t, c.script...)
			l.arrived = func() time.Time { return time.Unix(935467445, 787492000) }
			for rest := c.input; len(rest) > 0; rest = rest[min(size, len(rest)):] {
				feed(l, rest[:min(size, len(rest))])
			}
			l.Close()
			got := holds(t, dir+"/d")
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%q: pieces of %d make a difference", c.script, size)
			}
		}
		if strings.HasPrefix(c.script[0], "-") {
			continue
		}
		got := strings.ReplaceAll(want, "|", "")
		if c.script[0] == "t" {
			got = strings.ReplaceAll(got, stamp, "")
			if n, lines := strings.Count(want, stamp), bytes.Count(c.input, newline[:]); n != lines {
				t.Errorf("%q: %d stamps for %d lines", c.script, n, lines)
			}
		}
		if got != string(c.input) {
			t.Errorf("%q: what is on file is not what was read", c.script)
		}
	}
}

func TestProcessor(t *testing.T) {
	l, dir, said := testLog(t, `!read n <&4; echo $((n+1)) >&5; echo "$n $(basename "$PWD")"; cat; test -e fail && rm fail && exit 1; test -e crash && rm crash && kill -9 $$; :`, "./d")
	for _, text := range []string{"one\n", "two\n"} {
		feed(l, []byte(text))
		l.flush()
		os.WriteFile(dir+"/d/fail", nil, 0o644)
		os.WriteFile(dir+"/d/crash", nil, 0o644)
		l.Rotate()
	}
	l.Close()
	if got := holds(t, dir+"/d"); got != " d\none\n|1 d\ntwo\n|" {
		t.Errorf("%q", got)
	}
	warnings := "processor failed in ./d, pausing <nil>\nprocessor crashed in ./d, pausing errno 0\nprocessor failed in ./d, pausing <nil>\n"
	if said.String() != warnings+warnings {
		t.Errorf("it said %q", said)
	}
}

// TestMovedDirectory: a log goes on in its directory, whatever that is called.
func TestMovedDirectory(t *testing.T) {
	l, dir, said := testLog(t, "!cat; echo $(basename $(pwd -P))", "./d")
	feed(l, []byte("one\n"))
	l.flush()
	if err := os.Rename(dir+"/d", dir+"/e"); err != nil {
		t.Fatal(err)
	}
	l.Rotate()
	feed(l, []byte("two\n"))
	l.Close()
	if got := holds(t, dir+"/e"); got != "one\ne\n|two\n" || said.Len() > 0 {
		t.Errorf("%q, said %q", got, said)
	}
}

// TestPrune: what cannot be removed is in nobody's way.
func TestPrune(t *testing.T) {
	l, dir, _ := testLog(t, "n3", "./d")
	for _, name := range []string{"@1" + strings.Repeat("0", 24), "@zz" + strings.Repeat("0", 30)} {
		os.Mkdir(dir+"/d/"+name, 0o755)
	}
	for _, text := range []string{"one\n", "two\n", "three\n"} {
		feed(l, []byte(text))
		l.flush()
		l.Rotate()
	}
	l.Close()
	names, _ := filepath.Glob(dir + "/d/@*")
	if len(names) != 2 {
		t.Errorf("left are %q", names)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(dir+"/file", nil, 0o644)
	os.MkdirAll(dir+"/dir/current", 0o644)
	descriptors := func() int { entries, _ := os.ReadDir("/proc/self/fd"); return len(entries) }
	for _, c := range []struct {
		script []string
		text   string
		err    error
	}{
		{[]string{"./file"}, "unable to open directory ./file", unix.ENOTDIR},
		{[]string{"./no/dir"}, "unable to open directory ./no/dir", unix.ENOENT},
		{[]string{"./d", "./d"}, "unable to lock directory ./d", unix.EAGAIN},
		{[]string{"./d", "=no/st"}, "unable to create no/st", unix.ENOENT},
		{[]string{"=dir"}, "unable to create dir", unix.EISDIR},
		{[]string{"="}, "unable to create ", unix.ENOENT},
	} {
		env := environment(t, dir, new(bytes.Buffer))
		before := descriptors()
		_, err := OpenLog(ParseScript(c.script), env)
		var refused *OpenError
		if !errors.As(err, &refused) || refused.Text != c.text || !errors.Is(err, c.err) {
			t.Errorf("%q: %v", c.script, err)
		}
		if n := descriptors(); n != before {
			t.Errorf("%q: %d descriptors before, %d after", c.script, before, n)
		}
	}
}

// TestNoGarbage: a Log that has run for a while allocates nothing, neither for a line nor for a read, nor
// for a rotation.
func TestNoGarbage(t *testing.T) {
	none := func(what string, script []string, do func()) {
		t.Helper()
		if n := testing.AllocsPerRun(50, do); n > 0 {
			t.Errorf("%q: %v allocations for %s", script, n, what)
		}
	}
	requests, err := NewRequests(func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer requests.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	w.WriteString("something to read")
	fd := int(r.Fd())
	for _, script := range [][]string{
		{"t", "n3", "./d"}, {"T", "-*foo", "+*b*", "F", "+*[x]*", "=st", "n3", "./d", "wother", "./e"},
	} {
		l, dir, said := testLog(t, script...)
		block := bytes.Repeat([]byte("some line of a log\n\nx\n"), 100)
		none("lines", script, func() { feed(l, block); l.flush() })
		long := bytes.Repeat([]byte("x"), 10000)
		none("a part of a line", script, func() { feed(l, long); l.flush() })
		none("a read", script, func() { requests.Wake(); requests.wait(fd); requests.hear() })
		none("a rotation", script, func() { feed(l, block); l.Rotate() })
		l.Close()
		if old, _ := filepath.Glob(dir + "/[de]/@*"); len(old) != 2*len(l.script.directories) || said.Len() > 0 {
			t.Errorf("%q: %d old files, said %q", script, len(old), said)
		}
	}
}

func TestCopyHearsRequests(t *testing.T) {
	l, dir, _ := testLog(t, "./d")
	requests, err := NewRequests(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer requests.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	done := make(chan struct{})
	go func() { l.Copy(int(r.Fd()), requests); l.Close(); close(done) }()
	w.WriteString("one\n")
	for end := time.Now().Add(30 * time.Second); holds(t, dir+"/d") != "one\n"; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it logs nothing")
		}
	}
	for range 1000 {
		requests.Ask(ReopenLogs)
	}
	requests.Ask(Rotate)
	requests.Ask(Stop)
	<-done
	if got := holds(t, dir+"/d"); got != "one\n|" {
		t.Errorf("%q", got)
	}
}
