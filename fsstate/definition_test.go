package fsstate_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/test/harness"
)

func TestDefinitionOfAnEmptyDirectory(t *testing.T) {
	d, err := fsstate.Read(service(t))
	if err != nil || d != (fsstate.Definition{}) {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestFlags: that a file is there is all that counts, whatever it is.
func TestFlags(t *testing.T) {
	for name, want := range map[string]fsstate.Definition{
		"down":      {Down: true},
		"no-setsid": {NoSetsid: true},
		"essential": {Essential: true},
	} {
		for kind, make := range map[string]func(path string) error{
			"file":      func(p string) error { return os.WriteFile(p, nil, 0) },
			"directory": func(p string) error { return os.Mkdir(p, 0o700) },
			"link":      func(p string) error { return os.Symlink("/dev/null", p) },
			"FIFO":      func(p string) error { return unix.Mkfifo(p, 0o600) },
		} {
			dir := service(t)
			if err := make(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			if d, err := fsstate.Read(dir); err != nil || d != want {
				t.Errorf("%s as a %s: %+v, %v", name, kind, d, err)
			}
		}
		dir := service(t)
		if err := os.Symlink("nothing", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if d, err := fsstate.Read(dir); err != nil || d != (fsstate.Definition{}) {
			t.Errorf("%s as a link to nothing: %+v, %v", name, d, err)
		}
	}
}

func TestDurations(t *testing.T) {
	for _, test := range []struct {
		text string
		want uint64
		bad  string // the value as the error shows it
	}{
		{"0", 0, ""},
		{"1\n", 1, ""},
		{"30", 30, ""},
		{"00000000060\n", 60, ""},
		{"5000\nwhat follows is not looked at\n", 5000, ""},
		{"4294967295\n", 4294967295, ""},
		{"000000000060\n", 0, "000000000060"},
		{"4294967296\n", 0, "4294967296"},
		{"", 0, ""},
		{"\n", 0, ""},
		{"-1\n", 0, "-1"},
		{"+1\n", 0, "+1"},
		{" 1\n", 0, " 1"},
		{"1 \n", 0, "1 "},
		{"1\r\n", 0, `1\r`},
		{"0x10\n", 0, "0x10"},
		{"1_000\n", 0, "1_000"},
		{"1.5\n", 0, "1.5"},
		{"5s\n", 0, "5s"},
		{"1\x00\n", 0, `1\x00`},
		{"\x1b[2J\n", 0, `\x1b[2J`},
		{strings.Repeat("9", 1<<20), 0, strings.Repeat("9", 12)},
	} {
		for _, file := range []struct {
			name string
			unit time.Duration
			get  func(fsstate.Definition) time.Duration
		}{
			{"backoff", time.Second, func(d fsstate.Definition) time.Duration { return d.Backoff }},
			{"timeout-kill", time.Millisecond, func(d fsstate.Definition) time.Duration { return d.TimeoutKill }},
		} {
			dir := service(t)
			harness.WriteFile(t, filepath.Join(dir, file.name), test.text, 0o644)
			d, err := fsstate.Read(dir)
			if got, want := file.get(d), time.Duration(test.want)*file.unit; got != want {
				t.Errorf("%s with %.40q: %v, want %v", file.name, test.text, got, want)
			}
			empty := strings.TrimRight(test.text, "\n") == ""
			if (err != nil) != (test.bad != "" || empty) {
				t.Errorf("%s with %.40q: error %v", file.name, test.text, err)
				continue
			}
			if err == nil {
				continue
			}
			want := fmt.Sprintf(`%s holds "%s", which is not a number from 0 to 4294967295; it is ignored`, file.name, test.bad)
			if err.Error() != want {
				t.Errorf("%s with %.40q: error %q, want %q", file.name, test.text, err, want)
			}
			var value *fsstate.ValueError
			if !errors.As(err, &value) || value.File != file.name {
				t.Errorf("%s with %.40q: no ValueError: %v", file.name, test.text, err)
			}
		}
	}
}

func TestDurationsThatCannotBeRead(t *testing.T) {
	for kind, make := range map[string]func(path string) error{
		"it is not a regular file":          func(p string) error { return os.Mkdir(p, 0o755) },
		"too many levels of symbolic links": func(p string) error { return os.Symlink(filepath.Base(p), p) },
	} {
		dir := service(t)
		for _, name := range []string{"backoff", "timeout-kill"} {
			if err := make(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		d, err := fsstate.Read(dir)
		want := fmt.Sprintf("backoff cannot be read: %s; it is ignored\ntimeout-kill cannot be read: %[1]s; it is ignored", kind)
		if d != (fsstate.Definition{}) || err == nil || err.Error() != want {
			t.Errorf("%s: %+v, %v", kind, d, err)
		}
	}

	// A FIFO must not be waited for.
	dir := service(t)
	if err := unix.Mkfifo(filepath.Join(dir, "backoff"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fsstate.Read(dir); err == nil {
		t.Error("a FIFO: no error")
	}

	if os.Getuid() == 0 { // who may read everything
		return
	}
	harness.WriteFile(t, filepath.Join(dir, "timeout-kill"), "1\n", 0)
	if d, err := fsstate.Read(dir); d.TimeoutKill != 0 || !strings.Contains(fmt.Sprint(err), "permission denied") {
		t.Errorf("unreadable: %+v, %v", d, err)
	}
}

func TestOneBadFileDoesNotSpoilTheOther(t *testing.T) {
	dir := service(t)
	harness.WriteFile(t, filepath.Join(dir, "backoff"), "soon\n", 0o644)
	harness.WriteFile(t, filepath.Join(dir, "timeout-kill"), "250\n", 0o644)
	d, err := fsstate.Read(dir)
	if d.TimeoutKill != 250*time.Millisecond || d.Backoff != 0 || err == nil {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestHasLog(t *testing.T) {
	for name, test := range map[string]struct {
		make func(path string) error
		want bool
		err  error
	}{
		"nothing":             {func(string) error { return nil }, false, nil},
		"directory":           {func(p string) error { return os.Mkdir(p, 0) }, true, nil},
		"link to a directory": {func(p string) error { return os.Symlink("/", p) }, true, nil},
		"file":                {func(p string) error { return os.WriteFile(p, nil, 0o755) }, false, nil},
		"link to nothing":     {func(p string) error { return os.Symlink("nothing", p) }, false, nil},
		"link to itself":      {func(p string) error { return os.Symlink("log", p) }, false, unix.ELOOP},
	} {
		dir := service(t)
		if err := test.make(filepath.Join(dir, "log")); err != nil {
			t.Fatal(err)
		}
		if got, err := fsstate.HasLog(dir); got != test.want || err != test.err {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// FuzzRead: whatever the files of a directory hold, what is read of them is what they say or a default
// and an error.
func FuzzRead(f *testing.F) {
	f.Add([]byte("30\n"), []byte("5000"), []byte("#!/bin/sh\n"))
	f.Add([]byte(""), []byte("-1"), []byte("\x7fELF"))
	f.Add([]byte("4294967296"), []byte("00000000000"), []byte("#!"))
	number := regexp.MustCompile(`\A[0-9]{1,11}(\n|\z)`)
	f.Fuzz(func(t *testing.T, backoff, timeoutKill, run []byte) {
		dir := t.TempDir()
		for name, text := range map[string][]byte{"backoff": backoff, "timeout-kill": timeoutKill, "run": run} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		d, err := fsstate.Read(dir)
		bad := 0
		for _, v := range []struct {
			text []byte
			unit time.Duration
			got  time.Duration
		}{{backoff, time.Second, d.Backoff}, {timeoutKill, time.Millisecond, d.TimeoutKill}} {
			want := time.Duration(0)
			n, nerr := strconv.ParseUint(strings.TrimRight(string(number.Find(v.text)), "\n"), 10, 32)
			if nerr == nil {
				want = time.Duration(n) * v.unit
			} else {
				bad++
			}
			if v.got != want && len(number.Find(v.text)) > 0 {
				t.Errorf("%q was read as %v, want %v", v.text, v.got, want)
			}
			if v.got < 0 || v.got%v.unit != 0 {
				t.Errorf("%q was read as %v", v.text, v.got)
			}
		}
		if err == nil && bad > 0 && !tooLong(backoff) && !tooLong(timeoutKill) {
			t.Errorf("no error for %q and %q", backoff, timeoutKill)
		}
		if err != nil && bad == 0 {
			t.Errorf("error %v for %q and %q", err, backoff, timeoutKill)
		}
	})
}

// tooLong: more digits than s6 takes.
func tooLong(text []byte) bool {
	return len(text) >= 12 && strings.Trim(string(text[:12]), "0123456789") == ""
}
