package chain_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

func TestEnvdir(t *testing.T) {
	t.Parallel()
	r := need(t, "envdir")
	root := t.TempDir()
	names := []string{"A", "B", "PATH", "A B", "G=H", "G", "ä", "X.Y", ".hidden", "HOME"}
	for i := range 300 {
		dir := filepath.Join(root, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for range r.IntN(7) {
			path := filepath.Join(dir, pick(r, names...))
			os.Remove(path)
			switch r.IntN(40) {
			case 0:
				os.Mkdir(path, 0o755)
			case 1:
				syscall.Mkfifo(path, 0o644)
			case 2:
				os.Symlink("loop", filepath.Join(dir, "loop"))
			default:
				write(t, path, pick(r, "", "\n", " \t\n", " v \t\nrest\n", "v", "a\x00b\x00\n", "v\r\n", strings.Repeat("long", 500), "=x=", "\xff\n"), 0o644)
			}
		}
		env := []string{"PATH=/usr/bin:/bin"}
		for range r.IntN(7) {
			env = append(env, pick(r, "A=old", "B=old", "G=old", "G=H=old", "HOME=/", "Z=", "noequals", "A=2"))
		}
		compare(t, "envdir", run{dir: root, env: unique(env), args: []string{pick(r, fmt.Sprint(i), "./"+fmt.Sprint(i), dir), "env"}})
	}
	write(t, filepath.Join(root, "file"), "x", 0o644)
	for _, args := range [][]string{{}, {"x"}, {"file", "env"}, {"missing", "env"}, {".", "missing"}, {"0", "pwd"}, {"0", ""}} {
		compareButUsage(t, "envdir", run{dir: root, args: args})
	}
}

// A directory that has been removed has no files.
func TestEnvdirRemoved(t *testing.T) {
	t.Parallel()
	need(t, "envdir")
	const script = `mkdir gone && cd gone && rmdir ../gone && exec "$0" . /bin/echo ran`
	theirs := run{dir: t.TempDir(), args: []string{"-c", script, "/usr/bin/envdir"}}.of(t, "/bin/sh")
	ours := run{dir: t.TempDir(), args: []string{"-c", script, harness.Bin(t, "envdir")}}.of(t, "/bin/sh")
	if ours != theirs {
		t.Errorf("ours: %v\ndaemontools': %v", ours, theirs)
	}
}

// unique keeps what os/exec would drop anyway from being a matter of chance.
func unique(env []string) []string {
	var kept []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if !slices.ContainsFunc(kept, func(k string) bool { n, _, _ := strings.Cut(k, "="); return n == name }) {
			kept = append(kept, e)
		}
	}
	return kept
}

// compareButUsage compares where daemontools' usage line lacks the options that came later.
func compareButUsage(t *testing.T, name string, r run) {
	t.Helper()
	want, got := r.of(t, "/usr/bin/"+name), r.of(t, harness.Bin(t, name))
	usage := name + ": usage: "
	if strings.HasPrefix(want.stderr, usage) && strings.HasPrefix(got.stderr, usage) {
		want.stderr, got.stderr = "", ""
	}
	if got != want {
		t.Errorf("%s %q:\nours: %v\ndaemontools': %v", name, r.args, got, want)
	}
}

// An environment with two entries of one name, which os/exec cannot make.
func TestDoubleEntries(t *testing.T) {
	t.Parallel()
	need(t, "envdir")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "e", "A"), "new\n", 0o644)
	for _, args := range [][]string{{"envdir", "e", "/usr/bin/env"}, {"envuidgid", "root", "/usr/bin/env"}, {"setuidgid", "root", "/usr/bin/env"}} {
		var outputs []string
		for _, path := range []string{"/usr/bin/" + args[0], harness.Bin(t, args[0])} {
			read, wr, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			p, err := os.StartProcess(path, args, &os.ProcAttr{
				Dir: dir, Env: []string{"A=1", "UID=1", "A=2", "B=3", "UID=4"}, Files: []*os.File{nil, wr, os.Stderr},
			})
			if err != nil {
				t.Fatal(err)
			}
			wr.Close()
			buf := make([]byte, 4096)
			n, _ := read.Read(buf)
			p.Wait()
			read.Close()
			outputs = append(outputs, string(buf[:n]))
		}
		if outputs[0] != outputs[1] {
			t.Errorf("%q: ours %q, daemontools' %q", args, outputs[1], outputs[0])
		}
	}
}

func TestEnvdirOfEncore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "e", "A"), "x\n", 0o644)
	if err := os.Symlink("nowhere", filepath.Join(dir, "e", "B")); err != nil {
		t.Fatal(err)
	}
	env := []string{"P_A=old", "P_B=kept"}
	golden(t, "envdir", run{dir, env, "", []string{"-p", "P_", "e", "/usr/bin/env"}}, result{stdout: "P_B=kept\nP_A=x\n"})
	const usage = "envdir: usage: envdir [ -p prefix ] dir child\n"
	golden(t, "envdir", run{args: []string{"e"}}, result{stderr: usage, code: 111})
	golden(t, "envdir", run{args: []string{"-z"}}, result{stderr: "envdir: illegal option -- z\n" + usage, code: 111})
	golden(t, "envdir", run{args: []string{"-p"}}, result{stderr: "envdir: option requires an argument -- p\n" + usage, code: 111})
}

func TestEnvini(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ini"), "; comment\n#a=1\n  a = 1 \r\n[s]x\nb=\n[]\nc==\"x y\" \n[ web ]\nport\t=\t80\nbad line = 1\n=\n[s]\n= v", 0o644)
	want := "#a=1\na=1\nb=\n_c==\"x y\"\n web _port=80\n web _=\ns_=v\n"
	golden(t, "envini", run{dir, []string{}, "", []string{"ini", "/usr/bin/env"}}, result{stdout: want})
	golden(t, "envini", run{dir, []string{}, "", []string{"-pP", "ini", "/usr/bin/env"}}, result{stdout: "P" + strings.ReplaceAll(want[:len(want)-1], "\n", "\nP") + "\n"})
	golden(t, "envini", run{dir, []string{"X=1"}, "", []string{"missing", "/usr/bin/env"}}, result{stdout: "X=1\n"})
	golden(t, "envini", run{dir: dir, args: []string{".", "env"}}, result{stderr: "envini: fatal: unable to read .: is a directory\n", code: 111})
	const usage = "envini: usage: envini [ -p prefix ] inifile child\n"
	golden(t, "envini", run{args: []string{"ini"}}, result{stderr: usage, code: 111})
}

func TestSearch(t *testing.T) {
	t.Parallel()
	r := need(t, "envuidgid")
	root := t.TempDir()
	write(t, filepath.Join(root, "good", "prog"), "#!/bin/sh\necho ran \"$@\"\n", 0o755)
	write(t, filepath.Join(root, "plain", "prog"), "#!/bin/sh\n", 0o644)
	write(t, filepath.Join(root, "text", "prog"), "echo no interpreter\n", 0o755)
	write(t, filepath.Join(root, "lost", "prog"), "#!/no/such/interpreter\n", 0o755)
	write(t, filepath.Join(root, "file"), "", 0o755)
	os.MkdirAll(filepath.Join(root, "dir", "prog"), 0o755)
	os.MkdirAll(filepath.Join(root, "empty"), 0o755)
	elements := []string{"good", "plain", "text", "lost", "dir", "empty", "file", "missing", "", root + "/good", "."}
	for range 300 {
		env := []string{"PATH=" + pick(r, elements...)}
		for range r.IntN(4) {
			env[0] += ":" + pick(r, elements...)
		}
		if r.IntN(20) == 0 {
			env = []string{"X=1"}
		}
		child := pick(r, "prog", "prog", "prog", "prog", "", "missing", "good/prog", "./plain/prog", "dir/prog", "file/prog", "text/prog", "prog/", "sh")
		args := []string{child, "a", "", "b c"}
		if child == "sh" {
			args = []string{"sh", "-c", "exit 3"}
		}
		switch name := pick(r, "envuidgid", "setuidgid", "setlock", "softlimit", "pgrphack", "fghack", "envdir"); name {
		case "envuidgid", "setuidgid":
			compare(t, name, run{dir: root, env: env, args: append([]string{"root"}, args...)})
		case "setlock":
			compare(t, name, run{dir: root, env: env, args: append([]string{"-n", "lock"}, args...)})
		case "softlimit":
			compare(t, name, run{dir: root, env: env, args: append([]string{"-o", "30", "-c0"}, args...)})
		case "envdir":
			compare(t, name, run{dir: root, env: env, args: append([]string{"empty"}, args...)})
		default:
			compare(t, name, run{dir: root, env: env, args: args})
		}
	}
}
