package fsstate_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/test/harness"
)

// plain is the Definition of a directory that asks for nothing.
func plain() fsstate.Definition {
	return fsstate.Definition{DownSignal: unix.SIGTERM, MaxDeathTally: 100}
}

// ofS6 is plain for a directory of s6's.
func ofS6() fsstate.Definition {
	d := plain()
	d.Dialect, d.TimeoutFinish, d.Event = fsstate.S6, 5*time.Second, true
	return d
}

// same compares Definitions without what only their Reason is made of.
func same(a, b fsstate.Definition) bool {
	return reflect.DeepEqual(exported(a), exported(b))
}

func exported(d fsstate.Definition) (fields []any) {
	v := reflect.ValueOf(d)
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			fields = append(fields, v.Field(i).Interface())
		}
	}
	return fields
}

func TestDefinitionOfAnEmptyDirectory(t *testing.T) {
	dir := service(t)
	for _, path := range []string{dir, dir + "/nothing", dir + "/run"} {
		if d, err := fsstate.Read(path); err != nil || !same(d, plain()) {
			t.Errorf("%s: %+v, %v", path, d, err)
		}
	}
}

// TestFlags: that a file is there is all that counts, whatever it is.
func TestFlags(t *testing.T) {
	for name, set := range map[string]func(*fsstate.Definition){
		"down":                func(d *fsstate.Definition) { d.Down = true },
		"no-setsid":           func(d *fsstate.Definition) { d.NoSetsid = true },
		"essential":           func(d *fsstate.Definition) { d.Essential = true },
		"kill-tree":           func(d *fsstate.Definition) { d.KillTree = true },
		"notify-socket":       func(d *fsstate.Definition) { d.NotifySocket = true },
		"flag-newpidns":       func(d *fsstate.Definition) { *d = ofS6(); d.NewPIDs = true },
		"flag-timeout-killpg": func(d *fsstate.Definition) { *d = ofS6(); d.KillGroup = true },
	} {
		want := plain()
		set(&want)
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
			if d, err := fsstate.Read(dir); err != nil || !same(d, want) {
				t.Errorf("%s as a %s: %+v, %v", name, kind, d, err)
			}
		}
		dir := service(t)
		if err := os.Symlink("nothing", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if d, err := fsstate.Read(dir); err != nil || !same(d, plain()) {
			t.Errorf("%s as a link to nothing: %+v, %v", name, d, err)
		}
	}
}

// numberFiles are those that hold a number.
var numberFiles = []struct {
	name        string
	least, most uint64
	standard    uint64
	instead     string
	get         func(fsstate.Definition) uint64
}{
	{"backoff", 0, 4294967295, 0, "the pause stays at one second",
		func(d fsstate.Definition) uint64 { return uint64(d.Backoff / time.Second) }},
	{"timeout-kill", 0, 4294967295, 0, "KILL is never sent",
		func(d fsstate.Definition) uint64 { return uint64(d.TimeoutKill / time.Millisecond) }},
	{"timeout-finish", 0, 4294967295, 5000, "finish may take 5000 ms",
		func(d fsstate.Definition) uint64 { return uint64(d.TimeoutFinish / time.Millisecond) }},
	{"notification-fd", 1, 1048575, 0, "no notice of readiness is expected",
		func(d fsstate.Definition) uint64 { return uint64(d.NotificationFD) }},
	{"max-death-tally", 0, 4294967295, 100, "100 deaths are kept",
		func(d fsstate.Definition) uint64 { return uint64(d.MaxDeathTally) }},
}

func TestNumbers(t *testing.T) {
	for _, test := range []struct {
		text string
		want uint64
		bad  string // the value as the error shows it, "-" for none
	}{
		{"0", 0, "-"},
		{"1\n", 1, "-"},
		{"30", 30, "-"},
		{"00000000060\n", 60, "-"},
		{"5000\nwhat follows is not looked at\n", 5000, "-"},
		{"4294967295\n", 4294967295, "-"},
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
		for _, file := range numberFiles {
			want, bad := test.want, test.bad
			if bad == "-" && (want < file.least || want > file.most) {
				bad, _, _ = strings.Cut(test.text, "\n")
			}
			if bad != "-" {
				want = file.standard
			}
			if file.name == "max-death-tally" {
				want = min(want, 4096)
			}
			dir := service(t)
			harness.WriteFile(t, filepath.Join(dir, file.name), test.text, 0o644)
			d, err := fsstate.Read(dir)
			if got := file.get(d); got != want {
				t.Errorf("%s with %.40q: %v, want %v", file.name, test.text, got, want)
			}
			if (err != nil) != (bad != "-") {
				t.Errorf("%s with %.40q: error %v", file.name, test.text, err)
				continue
			}
			if err == nil {
				continue
			}
			text := fmt.Sprintf(`%s holds "%s", which is not a number from %d to %d; %s`,
				file.name, bad, file.least, file.most, file.instead)
			if err.Error() != text {
				t.Errorf("%s with %.40q: error %q, want %q", file.name, test.text, err, text)
			}
			var value *fsstate.ValueError
			if !errors.As(err, &value) || value.File != file.name {
				t.Errorf("%s with %.40q: no ValueError: %v", file.name, test.text, err)
			}
		}
	}
}

func TestSignals(t *testing.T) {
	for text, want := range map[string]unix.Signal{
		"HUP\n":                unix.SIGHUP,
		"hup":                  unix.SIGHUP,
		"SIGINT\n":             unix.SIGINT,
		"sigint":               unix.SIGINT,
		"SigUsr1\nand so on\n": unix.SIGUSR1,
		"9\n":                  unix.SIGKILL,
		"SIG2":                 unix.SIGINT,
		"sig2\n":               unix.SIGINT,
		"0000000003\n":         unix.SIGQUIT,
		"34\n":                 34,
		"64":                   64,
		"WINCH\n":              unix.SIGWINCH,

		"":                      0,
		"\n":                    0,
		"SIG\n":                 0,
		"0\n":                   0,
		"65\n":                  0,
		"999\n":                 0,
		"4294967298\n":          0,
		"-2\n":                  0,
		"RTMIN\n":               0,
		"SIGRTMIN+1\n":          0,
		"SIGSIGINT\n":           0,
		" HUP\n":                0,
		"HUP \n":                0,
		"HUP\r\n":               0,
		"TERM and then KILL\n":  0,
		"\u0131nt\n":            0, // a dotless i, of which the capital is an I
		"HUP\x00\n":             0,
		strings.Repeat("1", 99): 0,
	} {
		for _, file := range []struct {
			name     string
			standard unix.Signal
			get      func(fsstate.Definition) unix.Signal
		}{
			{"down-signal", unix.SIGTERM, func(d fsstate.Definition) unix.Signal { return d.DownSignal }},
			{"reload-signal", unix.SIGHUP, func(d fsstate.Definition) unix.Signal { return d.ReloadSignal }},
		} {
			dir := service(t)
			harness.WriteFile(t, filepath.Join(dir, file.name), text, 0o644)
			d, err := fsstate.Read(dir)
			want, bad := want, want == 0
			if bad {
				want = file.standard
			}
			if got := file.get(d); got != want || (err != nil) != bad || d.Dialect != fsstate.S6 {
				t.Errorf("%s with %.40q: %v, %v, %v; want %v", file.name, text, got, d.Dialect, err, want)
			}
			instead := "; " + strings.TrimPrefix(unix.SignalName(file.standard), "SIG") + " is sent"
			if bad && (!strings.HasPrefix(err.Error(), file.name+" holds ") || !strings.HasSuffix(err.Error(), instead)) {
				t.Errorf("%s with %.40q: error %q", file.name, text, err)
			}
		}
	}
}

// valueFiles are all files that hold a value, and what is done if they cannot be read.
func valueFiles() map[string]string {
	list := map[string]string{
		"down-signal":   "TERM is sent",
		"reload-signal": "HUP is sent",
		"trigger":       "the start waits for nothing",
		"after":         "the start waits for nothing",
	}
	for _, f := range numberFiles {
		list[f.name] = f.instead
	}
	return list
}

// TestValuesThatCannotBeRead: none of them is waited for, and the default holds.
func TestValuesThatCannotBeRead(t *testing.T) {
	for kind, make := range map[string]func(path string) error{
		"it is not a regular file": func(p string) error { return os.Mkdir(p, 0o755) },
		"it is not a regular file ": func(p string) error {
			return unix.Mkfifo(p, 0o600)
		},
		"it is not a regular file  ":        func(p string) error { return os.Symlink("/dev/null", p) },
		"it is not a regular file   ":       listen,
		"too many levels of symbolic links": func(p string) error { return os.Symlink(filepath.Base(p), p) },
		"permission denied": func(p string) error {
			if os.Getuid() == 0 { // who may read everything
				return errors.ErrUnsupported
			}
			return os.WriteFile(p, []byte("1\n"), 0)
		},
	} {
		for name, instead := range valueFiles() {
			dir := service(t)
			if err := make(filepath.Join(dir, name)); err == errors.ErrUnsupported {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			d, err := fsstate.Read(dir)
			want := plain()
			if kind != "too many levels of symbolic links" { // where there is no file
				switch name {
				case "reload-signal":
					want = ofS6()
					want.ReloadSignal = unix.SIGHUP
				case "down-signal", "notification-fd", "timeout-finish", "max-death-tally":
					want = ofS6()
				}
			}
			text := fmt.Sprintf("%s cannot be read: %s; %s", name, strings.TrimSpace(kind), instead)
			if !same(d, want) || err == nil || err.Error() != text {
				t.Errorf("%+v, %q; want %q", d, err, text)
			}
		}
	}
}

// listen makes a socket.
func listen(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrUnix{Name: path})
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
