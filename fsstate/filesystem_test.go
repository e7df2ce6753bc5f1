package fsstate_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"upkeep/fsstate"
	"upkeep/test/harness"
)

// TestLocal: what answers from this machine, and so tells inotify of every change.
func TestLocal(t *testing.T) {
	dir := t.TempDir()
	os.Symlink("nothing", dir+"/dangling")
	os.Symlink("loop", dir+"/loop")
	os.WriteFile(dir+"/file", nil, 0o644)
	os.Symlink("/proc/version", dir+"/away")
	for path, want := range map[string]bool{
		tmpfs(t, ""):      true,
		dir + "/nothing":  true, // executing it fails at once
		dir + "/dangling": true,
		dir + "/loop":     true,
		dir + "/file/sub": true,
		dir + "/away":     false,
		"/proc":           false,
		"/proc/self":      false,
		"/sys":            false,
		dir + "/nul\x00":  false, // not known, so not trusted
	} {
		if got := !fsstate.Unwatchable(path); got != want {
			t.Errorf("%q: local %v, want %v", path, got, want)
		}
	}
}

// TestRemote: the directory, run and its interpreter must all be local for run to be executed directly.
func TestRemote(t *testing.T) {
	mnt := tmpfs(t, "mode=755")
	for name, test := range map[string]struct {
		run  string // its text, or after "->" where it leads
		want bool
	}{
		"nothing":                        {"", false},
		"script":                         {"#!/bin/sh\n", false},
		"program":                        {"\x7fELF", false},
		"link to a script":               {"-> /bin/sh", false},
		"link to nothing":                {"-> nothing", false},
		"link away":                      {"-> /proc/version", true},
		"interpreter away":               {"#!/proc/version\n", true},
		"interpreter away, spaces":       {"#! \t/proc/version -x\n", true},
		"relative interpreter":           {"#!here\n", false},
		"relative interpreter away":      {"#!away\n", true},
		"no interpreter":                 {"#!/nonexistent\n", false},
		"interpreter without a newline":  {"#!/proc/version", true},
		"interpreter in the second line": {"\n#!/proc/version\n", false},
		"empty":                          {"#!\n", false},
	} {
		dir := filepath.Join(mnt, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		os.Symlink("/proc/version", dir+"/away")
		os.Symlink("/bin/sh", dir+"/here")
		if to, link := strings.CutPrefix(test.run, "-> "); link {
			os.Symlink(to, dir+"/run")
		} else if test.run != "" {
			harness.WriteFile(t, dir+"/run", test.run, 0o755)
		}
		if d, err := fsstate.Read(dir); d.Remote != test.want || err != nil {
			t.Errorf("%s: remote %v, %v; want %v", name, d.Remote, err, test.want)
		}
	}
	if d, _ := fsstate.Read("/proc/self"); !d.Remote {
		t.Error("a directory in /proc is not remote")
	}
}

func TestInterpreter(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run")
	for text, want := range map[string]string{
		"":                                      "",
		"#":                                     "",
		"#!":                                    "",
		"#!\n/bin/sh":                           "",
		"# !/bin/sh\n":                          "",
		"#!/bin/sh":                             "/bin/sh",
		"#!/bin/sh\n":                           "/bin/sh",
		"#!/bin/sh -e\n":                        "/bin/sh",
		"#! \t/usr/bin/env\tsh -e\n":            "/usr/bin/env",
		"#!/bin/sh\r\n":                         "/bin/sh\r",
		"#!sh\n":                                "sh",
		"#!/" + strings.Repeat("a", 1000):       "/" + strings.Repeat("a", 253),
		"\x7fELF":                               "",
		" #!/bin/sh\n":                          "",
		"#!/bin/sh" + strings.Repeat(" ", 9999): "/bin/sh",
	} {
		harness.WriteFile(t, path, text, 0o755)
		if got := fsstate.Interpreter(path); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
	if got := fsstate.Interpreter(dir) + fsstate.Interpreter(dir+"/nothing"); got != "" {
		t.Errorf("of no file: %q", got)
	}
}

// FuzzInterpreter: the name is what stands between #! and the first blank of the first line.
func FuzzInterpreter(f *testing.F) {
	for _, text := range []string{"#!/bin/sh\n", "#! /usr/bin/env sh -e\n", "#!", "#!\t\n", "\x7fELF", "#!a\x00b c"} {
		f.Add([]byte(text))
	}
	path := filepath.Join(f.TempDir(), "run")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o755); err != nil {
			t.Fatal(err)
		}
		name := fsstate.Interpreter(path)
		if strings.ContainsAny(name, " \t\n") || len(name) > 254 {
			t.Fatalf("%q has the interpreter %q", text, name)
		}
		head := text[:min(len(text), 256)]
		line, _, _ := bytes.Cut(head, []byte("\n"))
		rest, script := bytes.CutPrefix(line, []byte("#!"))
		want := ""
		if words := bytes.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == '\t' }); script && len(words) > 0 {
			want = string(words[0])
		}
		if name != want {
			t.Fatalf("%q has the interpreter %q, want %q", text, name, want)
		}
	})
}
