package fsstate_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/test/harness"
)

// fill makes the files of a service directory, each with the given text and, if its name ends in "*",
// executable. A name that ends in "/" is a directory.
func fill(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, strings.TrimSuffix(name, "*"))
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, "*") {
			mode = 0o755
		}
		harness.WriteFile(t, path, text, mode)
	}
}

func TestDialects(t *testing.T) {
	const isS6 = "and this directory is s6's: it has notification-fd; it is not run"
	for _, test := range []struct {
		files  map[string]string
		want   fsstate.Dialect
		reason string // what it has
		bad    string
		set    func(*fsstate.Definition)
	}{
		{files: map[string]string{"run*": "#!/bin/sh\n", "down": "", "log/run*": "", "no-setsid": "", "timeout-kill": "0",
			"essential": "", "backoff": "0", "kill-tree": "", "notify-socket": "", "cgroup/": "", "event/": "", "supervise/": ""},
			set: func(d *fsstate.Definition) {
				d.Down, d.NoSetsid, d.Essential, d.KillTree, d.NotifySocket, d.Limits = true, true, true, true, true, true
				d.Event = true
			}},
		{files: map[string]string{"trigger": "/run/x.pid\n"}, want: fsstate.Daemontoolsx, reason: "trigger",
			set: func(d *fsstate.Definition) { d.Trigger = "/run/x.pid" }},
		{files: map[string]string{"trigger": "\n"}, bad: "trigger names no file; the start waits for nothing"},

		{files: map[string]string{"finish*": "", "trigger": "/x"}, want: fsstate.Runit, reason: "finish",
			set: func(d *fsstate.Definition) { d.Finish, d.Trigger = true, "/x" }},
		{files: map[string]string{"check*": ""}, want: fsstate.Runit, reason: "check",
			set: func(d *fsstate.Definition) { d.Check = true }},
		{files: map[string]string{"control/t*": "", "control/d*": "", "control/1*": "", "control/h": "", "control/up*": "", "control/k/": ""},
			want: fsstate.Runit, reason: "control/", set: func(d *fsstate.Definition) { d.Control = "1dt" }},
		{files: map[string]string{"finish*": "", "check*": "", "control/": ""}, want: fsstate.Runit,
			reason: "check, control/ and finish", set: func(d *fsstate.Definition) { d.Finish, d.Check = true, true }},
		{files: map[string]string{"finish": "", "check": "", "control": ""}, bad: "finish is not executable; it is not run"},
		{files: map[string]string{"finish/": "", "check/": ""}},

		{files: map[string]string{"start*": "", "stop*": "", "notify*": "", "log*": ""}, want: fsstate.Encore,
			reason: "log, notify, start and stop",
			set: func(d *fsstate.Definition) {
				d.Start, d.Oneshot, d.Stop, d.Notify, d.Log = true, true, true, true, true
			}},
		{files: map[string]string{"start": "", "stop/": "", "notify/": "", "log": ""}},
		{files: map[string]string{"stop*": "", "finish*": "", "check*": "", "control/t*": ""}, want: fsstate.Encore, reason: "stop",
			bad: "finish is runit's, and this directory is daemontools-encore's: it has stop; it is not run\n" +
				"control is runit's, and this directory is daemontools-encore's: it has stop; it is not run",
			set: func(d *fsstate.Definition) { d.Stop = true }},

		{files: map[string]string{"notification-fd": "3\n", "start*": "", "stop": "", "log*": "", "finish*": "", "check*": "", "control/": ""},
			want: fsstate.S6, reason: "notification-fd",
			bad: "log is daemontools-encore's, " + isS6 + "\nstart is daemontools-encore's, " + isS6 + "\ncontrol is runit's, " + isS6,
			set: func(d *fsstate.Definition) { d.NotificationFD, d.Finish = 3, true }},
		{files: map[string]string{"lock-fd": "", "max-death-tally": "0", "timeout-finish": "0\n"}, want: fsstate.S6,
			reason: "lock-fd, max-death-tally and timeout-finish",
			set:    func(d *fsstate.Definition) { d.MaxDeathTally, d.TimeoutFinish = 0, 0 }},
		{files: map[string]string{"run*": "#!/bin/execlineb -P\n"}, want: fsstate.S6,
			reason: "a first line of run that names execlineb or with-contenv"},
		{files: map[string]string{"run*": "#!/command/with-contenv bash\n", "finish*": ""}, want: fsstate.S6,
			reason: "a first line of run that names execlineb or with-contenv",
			set:    func(d *fsstate.Definition) { d.Finish = true }},
	} {
		dir := service(t)
		fill(t, dir, test.files)
		want := plain()
		if test.want == fsstate.S6 {
			want = ofS6()
		}
		want.Dialect = test.want
		if test.set != nil {
			test.set(&want)
		}
		d, err := fsstate.Read(dir)
		what := slices.Sorted(maps.Keys(test.files))
		if !same(d, want) {
			t.Errorf("%q:\n%+v, want\n%+v", what, d, want)
		}
		reason := "no file in it is another supervisor's"
		if test.reason != "" {
			reason = "it has " + test.reason
		}
		if got := d.Reason(); got != reason {
			t.Errorf("%q: it is %v's because %s, want %s", what, d.Dialect, got, reason)
		}
		if got := message(err); got != test.bad {
			t.Errorf("%q: error\n%s\nwant\n%s", what, got, test.bad)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestExecutable: encore and runit's control look at the owner's bit, everyone else at whether anyone may.
func TestExecutable(t *testing.T) {
	dir := service(t)
	for _, name := range []string{"start", "finish", "control/t"} {
		harness.WriteFile(t, filepath.Join(dir, name), "", 0o611)
	}
	want := plain()
	want.Dialect, want.Finish = fsstate.Runit, true
	if d, err := fsstate.Read(dir); err != nil || !same(d, want) {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestArguments(t *testing.T) {
	exited := func(code int) unix.WaitStatus { return unix.WaitStatus(code << 8) }
	killed := func(s unix.Signal) unix.WaitStatus { return unix.WaitStatus(s) }
	const dumped = 0x80
	for _, test := range []struct {
		dialect fsstate.Dialect
		status  unix.WaitStatus
		want    string
	}{
		{fsstate.Runit, exited(0), "./finish 0 0"},
		{fsstate.Runit, exited(111), "./finish 111 0"},
		{fsstate.Runit, killed(unix.SIGTERM), "./finish -1 15"},
		{fsstate.Runit, killed(unix.SIGSEGV) | dumped, "./finish -1 139"},
		{fsstate.S6, exited(0), "./finish 0 0 web 77"},
		{fsstate.S6, exited(255), "./finish 255 0 web 77"},
		{fsstate.S6, killed(unix.SIGKILL), "./finish 256 9 web 77"},
		{fsstate.S6, killed(unix.SIGSEGV) | dumped, "./finish 256 11 web 77"},
	} {
		if got := strings.Join(test.dialect.FinishArgs("web", test.status, 77), " "); got != test.want {
			t.Errorf("%v, status %#x: %s, want %s", test.dialect, test.status, got, test.want)
		}
	}
	for _, d := range []fsstate.Dialect{fsstate.Daemontools, fsstate.Daemontoolsx, fsstate.Runit, fsstate.Encore, fsstate.S6} {
		want := "./run"
		if d == fsstate.S6 {
			want = "./run web/log"
		}
		if got := strings.Join(d.RunArgs("web/log"), " "); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
		for _, code := range []int{-1, 0, 1, 100, 111, 125, 255} {
			if got, want := d.RunFailed(code), d == fsstate.Encore && code == 100; got != want {
				t.Errorf("%v: exit code %d of run is a failure: %v", d, code, got)
			}
			if got, want := d.FinishFailed(code), d == fsstate.S6 && code == 125; got != want {
				t.Errorf("%v: exit code %d of finish is a failure: %v", d, code, got)
			}
		}
	}
}

func TestFormatOfAService(t *testing.T) {
	for _, f := range []fsstate.Format{fsstate.FormatRunit, fsstate.FormatEncore, fsstate.FormatDaemontools, fsstate.FormatS6} {
		if got := (&fsstate.Definition{}).Format(f); got != f {
			t.Errorf("%v becomes %v", f, got)
		}
		want := f
		if f == fsstate.FormatRunit {
			want = fsstate.FormatS6
		}
		if got := (&fsstate.Definition{Event: true}).Format(f); got != want {
			t.Errorf("%v becomes %v where s6's programs are told, want %v", f, got, want)
		}
	}
}
