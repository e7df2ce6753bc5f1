package multilog_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// A scenario is a script, the lines it gets and the directories that it finds.
type scenario struct {
	script []string
	lines  []string // each with its newline, but perhaps the last
	found  []found
}

// found is a file that is there before the logger.
type found struct {
	name   string
	text   string
	mode   os.FileMode
	linkTo string // a second name
}

type generator struct{ *rand.Rand }

func (g generator) one(of ...string) string { return of[g.IntN(len(of))] }

// text strings words together of which patterns and lines have many in common.
func (g generator) text(words int) string {
	var b strings.Builder
	for range g.IntN(words + 1) {
		b.WriteString(g.one("a", "b", "ab", "aab", " ", "one", "*", "status: ", "x\x00y", "\xff", "0123456789"))
	}
	return b.String()
}

func (g generator) pattern() string {
	var b strings.Builder
	for range g.IntN(6) {
		b.WriteString(g.one("*", "*", "a", "b", "one", " ", "s", "@", "\xff", "* "))
	}
	return b.String()
}

func (g generator) line() string {
	switch g.IntN(20) {
	case 0:
		return ""
	case 1:
		return strings.Repeat("x", 165+g.IntN(50))
	case 2:
		return strings.Repeat("ab", 470+g.IntN(45)) + g.text(3)
	case 3:
		return strings.Repeat(g.one("z", "a ", "\x00"), 900+g.IntN(2200))
	}
	return g.text(8)
}

func (g generator) script() (script []string) {
	if g.IntN(3) == 0 {
		script = append(script, g.one("t", "t", "tt"))
	}
	dirs := []string{"./a", "./b", "./c/", "/ROOT/abs"}
	for range 1 + g.IntN(7) {
		switch g.IntN(12) {
		case 0, 1:
			script = append(script, "-"+g.pattern())
		case 2:
			script = append(script, "+"+g.pattern())
		case 3:
			script = append(script, g.one("e", "expect"))
		case 4:
			script = append(script, "="+g.one("st1", "st2"))
		case 5:
			script = append(script, g.one("s4096", "s5000", "s8192", "s99", "sfoo", "s4500x", "s"))
		case 6:
			script = append(script, g.one("n2", "n3", "n0", "n", "n5y", "n100"))
		case 7:
			if g.IntN(2) == 0 {
				script = append(script, "!"+g.one("cat", "wc -c", "", "tr a b; cat <&4 >&5; echo x >&5", "cat; cat <&4; echo more >&5", "pwd | sed s,.*/,,"))
			}
		case 8:
			script = append(script, g.one("", "x", "t", "-", "+", "?", "\xff"))
		default:
			if i := g.IntN(len(dirs)); len(dirs) > 1 {
				script = append(script, dirs[i])
				if g.IntN(30) > 0 { // else, perhaps, twice
					dirs = slices.Delete(dirs, i, i+1)
				}
			}
		}
	}
	return script
}

// state makes what loggers leave behind that were killed, and more.
func (g generator) state(dir string) (files []found) {
	add := func(name, text string, mode os.FileMode) {
		files = append(files, found{name: dir + "/" + name, text: text, mode: mode})
	}
	maybe := func(name string, modes ...os.FileMode) {
		if g.IntN(2) == 0 {
			add(name, name+" "+g.text(6)+g.one("", "\n", strings.Repeat("w", 3000)), modes[g.IntN(len(modes))])
		}
	}
	if g.IntN(20) == 0 {
		return []found{{name: dir, text: "no directory", mode: 0o644}}
	}
	maybe("current", 0o644, 0o744, 0o600)
	maybe("previous", 0o644, 0o744)
	maybe("processed", 0o644, 0o744)
	maybe("state", 0o644)
	maybe("newstate", 0o644)
	maybe("lock", 0o600)
	for i := range g.IntN(5) {
		add(fmt.Sprintf("@40000000%016x.%s", 0x37c219bf2ef02e94+i<<8, g.one("s", "u")), fmt.Sprint("old ", i), 0o744)
	}
	if g.IntN(3) == 0 {
		add("@4000000037c219bf00000000zzz", "foreign", 0o600)
		add("@short", "foreign", 0o600)
	}
	for i := range files {
		// Killed between link and unlink.
		if strings.HasSuffix(files[i].name, "/previous") && g.IntN(3) == 0 {
			files[i].linkTo = dir + "/@4000000037c219bfffffffff.s"
		}
	}
	return files
}

func (g generator) scenario() (s scenario) {
	s.script = g.script()
	for range g.IntN(120) {
		s.lines = append(s.lines, g.line()+"\n")
	}
	if n := len(s.lines); n > 0 && g.IntN(4) == 0 {
		s.lines[n-1] = strings.TrimSuffix(s.lines[n-1], "\n")
	}
	for _, dir := range []string{"a", "b", "c"} {
		if g.IntN(3) == 0 {
			s.found = append(s.found, g.state(dir)...)
		}
	}
	return s
}

// outcome is all that is seen of a run.
type outcome struct {
	code   int
	stderr string
	files  map[string]string
}

// play runs a scenario. The original gets its lines one by one, each when it has read the one before: only
// then where it ends its files does not depend on how it happened to read. Ours gets pieces of any length.
func (s scenario) play(t *testing.T, program string, piecemeal *rand.Rand) outcome {
	t.Helper()
	root := t.TempDir()
	before := make(map[string]bool)
	for _, f := range s.found {
		path := filepath.Join(root, f.name)
		harness.WriteFile(t, path, f.text, f.mode)
		os.Chmod(filepath.Dir(path), 0o755)
		before[f.name] = true
		if f.linkTo != "" {
			os.Link(path, filepath.Join(root, f.linkTo))
			before[f.linkTo] = true
		}
	}
	var script []string
	for _, arg := range s.script {
		script = append(script, strings.Replace(arg, "/ROOT", root, 1))
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(program, script...)
	cmd.Dir, cmd.Stdin, cmd.Stderr = root, r, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &logger{t: t, read: r, write: w}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	ended := func() bool { return len(done) > 0 }
	if piecemeal == nil {
		for _, line := range s.lines {
			w.WriteString(line)
			for l.unread() > 0 && !ended() {
			}
			if ended() {
				break
			}
		}
	} else {
		for text := strings.Join(s.lines, ""); text != ""; {
			n := min(len(text), 1+piecemeal.IntN(12000))
			w.WriteString(text[:n])
			text = text[n:]
			for l.unread() > 1<<15 && !ended() {
			}
			if ended() {
				break
			}
		}
	}
	w.Close()
	<-done
	r.Close()
	return outcome{
		cmd.ProcessState.ExitCode(),
		unlabelled(strings.ReplaceAll(stderr.String(), root, "/ROOT")),
		tree(t, root, before),
	}
}

func TestSameAsDaemontools(t *testing.T) {
	theirs, ours := harness.Need(t, "multilog")[0], harness.Bin(t, "multilog")
	const scenarios = 400
	for seed := range uint64(scenarios) {
		g := generator{rand.New(rand.NewPCG(seed, 4))}
		s := g.scenario()
		want := s.play(t, theirs, nil)
		got := s.play(t, ours, g.Rand)
		if got.code != want.code || got.stderr != want.stderr {
			t.Errorf("%d: %q: exit code %d, %q\nwant %d, %q", seed, s.script, got.code, got.stderr, want.code, want.stderr)
		}
		names := maps.Clone(want.files)
		maps.Copy(names, got.files)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			g, there := got.files[name]
			w, wanted := want.files[name]
			if g != w || there != wanted {
				t.Errorf("%d: %q: %s is (%v)\n%.300q\nwant (%v)\n%.300q", seed, s.script, name, there, g, wanted, w)
			}
		}
		if t.Failed() && seed > 20 {
			t.FailNow()
		}
	}
}
