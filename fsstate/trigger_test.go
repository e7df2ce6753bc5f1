package fsstate_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/test/harness"
)

func TestTriggerFile(t *testing.T) {
	const waitsForNothing = "; the start waits for nothing"
	for text, test := range map[string]struct{ want, bad string }{
		"/run/x.pid":                     {"/run/x.pid", ""},
		"/run/x.pid\n":                   {"/run/x.pid", ""},
		"/run/x.pid \t\r\nanother\n":     {"/run/x.pid", ""},
		"/run/a b\n":                     {"/run/a b", ""},
		"../dns/supervise/status\n":      {"DIR/../dns/supervise/status", ""},
		" /run/x.pid\n":                  {"DIR/ /run/x.pid", ""},
		"":                               {"", "trigger names no file" + waitsForNothing},
		" \n/run/x.pid\n":                {"", "trigger names no file" + waitsForNothing},
		"a\x00b\n":                       {"", `trigger holds "a\x00b", which is no path` + waitsForNothing},
		"/" + strings.Repeat("a/", 3000): {"", "trigger holds a path that is too long" + waitsForNothing},
	} {
		dir := service(t)
		harness.WriteFile(t, dir+"/trigger", text, 0o644)
		want := ""
		if test.want != "" {
			want = filepath.Clean(strings.Replace(test.want, "DIR", dir, 1))
		}
		d, err := fsstate.Read(dir)
		if string(d.Trigger) != want || message(err) != test.bad {
			t.Errorf("%.40q: %q, %v; want %q, %s", text, d.Trigger, err, want, test.bad)
		}
	}
}

// dead is the pid of a process that was.
func dead(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

func TestTriggerCheck(t *testing.T) {
	me, gone := os.Getpid(), dead(t)
	status := func(pid int, phase fsstate.Phase, f fsstate.Format) string {
		return string(fsstate.Status{Pid: pid, Phase: phase, Want: fsstate.WantUp}.Append(nil, f))
	}
	isGone := fmt.Sprintf("names process %d, which is gone", gone)
	for _, test := range []struct {
		name, text string
		pid        int
		waiting    string
	}{
		{"x.pid", fmt.Sprint(me), me, ""},
		{"x.pid", fmt.Sprintf(" %d\n", me), me, ""},
		{"x.pid", fmt.Sprintf("%d and more", me), me, ""},
		{"x.pid", "1\n", 1, ""},
		{"x.pid", fmt.Sprintln(gone), 0, isGone},
		{"x.pid", "", 0, "names no process"},
		{"x.pid", "0\n", 0, "names no process"},
		{"x.pid", "-1\n", 0, "names no process"},
		{"x.pid", "99999999999999999999999\n", 0, "names no process"},
		{"x.pid", "4294967297\n", 0, "names no process"},
		{"x.pid", "pid\n", 0, "names no process"},
		{"x.pid", status(me, 0, fsstate.FormatDaemontools), 0, "names no process"},

		{"status", status(me, fsstate.PhaseRun, fsstate.FormatRunit), me, ""},
		{"status", status(me, 0, fsstate.FormatDaemontools), me, ""},
		{"status", status(me, 0, fsstate.FormatEncore), me, ""},
		{"status", status(me, 0, fsstate.FormatEncore) + status(0, 0, fsstate.FormatEncore), me, ""},
		{"status", status(me, 0, fsstate.FormatDaemontools)[:16], me, ""},
		{"status", status(me, fsstate.PhaseFinish, fsstate.FormatRunit), 0, "names no process"},
		{"status", status(0, fsstate.PhaseDown, fsstate.FormatRunit), 0, "names no process"},
		{"status", status(gone, fsstate.PhaseRun, fsstate.FormatRunit), 0, isGone},
		{"status", status(me, 0, fsstate.FormatDaemontools)[:15], 0, "names no process"},
		{"status", strings.Repeat("\xff", 20), 0, "names process 4294967295, which is gone"},
		{"status", "", 0, "names no process"},
		{"status", fmt.Sprintln(me), 0, "names no process"},
	} {
		path := filepath.Join(service(t), test.name)
		harness.WriteFile(t, path, test.text, 0o644)
		if pid, waiting := fsstate.Trigger(path).Check(); pid != test.pid || waiting != test.waiting {
			t.Errorf("%s with %.40q: %d, %q; want %d, %q", test.name, test.text, pid, waiting, test.pid, test.waiting)
		}
	}
	if pid, waiting := fsstate.Trigger("").Check(); pid != 0 || waiting != "" {
		t.Errorf("none: %d, %q", pid, waiting)
	}
}

// TestTriggerOnWhatIsNoFile: nothing of that is waited for in the call.
func TestTriggerOnWhatIsNoFile(t *testing.T) {
	for waiting, make := range map[string]func(path string) error{
		"does not exist":    func(string) error { return nil },
		"does not exist ":   func(p string) error { return os.Symlink("nothing", p) },
		"cannot be read: x": func(p string) error { return os.Mkdir(p, 0o755) },
		"cannot be read: y": func(p string) error { return unix.Mkfifo(p, 0o600) },
		"cannot be read: z": func(p string) error { return os.Symlink("/dev/zero", p) },
		"cannot be read: a": listen,
		"cannot be read: b": func(p string) error { return os.Symlink("x.pid", p) },
	} {
		path := filepath.Join(service(t), "x.pid")
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		kind, _, _ := strings.Cut(waiting, ":")
		if pid, got := fsstate.Trigger(path).Check(); pid != 0 || !strings.HasPrefix(got, strings.TrimSpace(kind)) {
			t.Errorf("%d, %q; want %q", pid, got, kind)
		}
	}
}

func TestTriggerService(t *testing.T) {
	for path, want := range map[string]string{
		"/service/dns/supervise/status":      "/service/dns",
		"/service/dns/log/supervise/status":  "/service/dns/log",
		"/service/dns/../x/supervise/status": "/service/x",
		"/run/x.pid":                         "",
		"/service/dns/status":                "",
		"/service/dns/supervise/pid":         "",
		"":                                   "",
	} {
		if dir, ok := fsstate.Trigger(path).Service(); dir != want || ok != (want != "") {
			t.Errorf("%q: %q, %v; want %q", path, dir, ok, want)
		}
	}
}

func TestTriggerWatch(t *testing.T) {
	top := service(t)
	fill(t, top, map[string]string{"here/file": "", "real/": "", "run/": ""})
	for link, to := range map[string]string{
		"link":         "real",
		"file":         "here/file",
		"here/away":    "../real/file",
		"here/nothing": "../real/sub/nothing",
		"super":        top + "/run/sub",
		"loop":         "loop",
	} {
		if err := os.Symlink(to, filepath.Join(top, link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"here/file":          "here",
		"here/none":          "here",
		"here/none/none":     "here",
		"none/none/status":   ".",
		"link/none":          "real",
		"file":               "here",
		"here/away":          "real",
		"here/nothing":       "real",
		"super/status":       "run", // where the directory will be that it is in
		"here/file/sub/none": "here",
		"link/../here/file":  "here",
	} {
		if got, want := fsstate.Trigger(filepath.Join(top, path)).Watch(), filepath.Join(top, want); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	for path, want := range map[string]string{"/": "/", "/none": "/", "/none/none": "/"} {
		if got := fsstate.Trigger(path).Watch(); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := fsstate.Trigger(top + "/loop").Watch(); got != "/" && got != top {
		t.Errorf("a loop: %s", got)
	}
}
