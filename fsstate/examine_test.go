package fsstate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/test/harness"
)

// said is what an examination has found, one line for each finding.
func said(x *fsstate.Examination) (lines []string) {
	for ; x != nil; x = x.Log {
		for _, f := range x.Findings {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%v %s", f.Severity, f.File))+" "+f.Text)
		}
	}
	return lines
}

func TestExamine(t *testing.T) {
	const run, script = "run*", "#!/bin/sh\n"
	for _, test := range []struct {
		files map[string]string
		want  []string
	}{
		{map[string]string{run: script}, nil},
		{map[string]string{run: script, ".hidden": "", "data/": "", "env/": "", "supervise/": "", "event/": "", "config": "", "down": ""}, nil},
		{map[string]string{run: script, "log/run*": script, "log/config": "s100000\n"}, nil},

		{nil, []string{"error run is missing; the service cannot be started"}},
		{map[string]string{"run": script}, []string{"error run is not executable; the service cannot be started"}},
		{map[string]string{"run/": ""}, []string{"error run is a directory; the service cannot be started"}},
		{map[string]string{run: ""}, []string{"error run is empty; the service cannot be started"}},
		{map[string]string{run: "#!/bin/sh -e\r\nexec x\r\n"}, []string{`error run has DOS line ends: its first line is "#!/bin/sh -e\r"; the service cannot be started`}},
		{map[string]string{run: "#!/nonexistent/sh -e\n"}, []string{"error run needs /nonexistent/sh, which is missing; the service cannot be started"}},
		{map[string]string{run: "#!/etc\n"}, []string{"error run needs /etc, which is a directory; the service cannot be started"}},
		{map[string]string{run: "#!/etc/passwd\n"}, []string{"error run needs /etc/passwd, which is not executable; the service cannot be started"}},
		{map[string]string{run: "#!  \n"}, []string{"error run names nothing after #!; the service cannot be started"}},
		{map[string]string{run: "#!here\n", "here*": ""}, []string{`note also holds "here", of no meaning to upkeep`}},
		{map[string]string{run: "#!/usr/bin/env sh\n"}, nil},
		{map[string]string{run: "#!/usr/bin/env -S sh -e\n"}, nil},
		{map[string]string{run: "#!/usr/bin/env no-such-shell\n"}, []string{"error run needs no-such-shell, which is not in PATH; the service cannot be started"}},
		{map[string]string{run: "#!/usr/bin/env /no/such/shell\n"}, []string{"error run needs /no/such/shell, which is missing; the service cannot be started"}},
		{map[string]string{run: "exec sleep 1\n"}, []string{"error run does not begin with #!; the service cannot be started"}},
		{map[string]string{run: "\ufeff#!/bin/sh\n"}, []string{"error run begins with a byte order mark, not with #!; the service cannot be started"}},
		{map[string]string{run: "\x7fELF"}, nil},
		{map[string]string{run: "anything\x00binary"}, nil},

		{map[string]string{run: script, "log/": ""}, []string{"error run is missing; the service cannot be started"}},
		{map[string]string{run: script, "log": ""}, []string{"warning log is not executable by its owner; it counts for nothing"}},
		{map[string]string{run: script, "finish": ""}, []string{"warning finish is not executable; it is not run"}},
		{map[string]string{run: script, "finish*": "exit\n", "check*": "#!/no\n"}, []string{
			"error check needs /no, which is missing; it cannot be run", "error finish does not begin with #!; it cannot be run"}},
		{map[string]string{run: script, "start": "", "stop": "", "notify": "", "check": ""}, []string{
			"warning start is not executable by its owner; it counts for nothing", "warning stop is not executable by its owner; it counts for nothing",
			"warning notify is not executable by its owner; it counts for nothing", "warning check is not executable by its owner; it counts for nothing"}},
		{map[string]string{run: script, "start/": ""}, []string{"warning start is a directory; it counts for nothing"}},
		{map[string]string{"start*": script}, nil}, // encore has such services
		{map[string]string{"start*": script, "run": ""}, []string{"error run is not executable; the service cannot be started"}},
		{map[string]string{run: script, "control/t*": script, "control/h": "", "control/z*": script, "control/README": ""}, []string{
			"warning control/z is for a letter that means nothing", "warning control/h is not executable by its owner; it counts for nothing"}},
		{map[string]string{run: script, "control": ""}, []string{"warning control is not a directory; it counts for nothing"}},
		{map[string]string{run: script, "stop*": script, "check*": script}, []string{"note check is for runit's services; only sv asks it"}},

		{map[string]string{run: script, "backoff": "soon", "timeout-kill": "5s\n"}, []string{
			`warning timeout-kill holds "5s", which is not a number from 0 to 4294967295; KILL is never sent`,
			`warning backoff holds "soon", which is not a number from 0 to 4294967295; the pause stays at one second`}},
		{map[string]string{run: script, "cgroup": ""}, []string{"warning cgroup is not a directory; it counts for nothing"}},
		{map[string]string{run: script, "notification-fd": "1\n", "lock-fd": "4"}, []string{
			"note lock-fd counts for nothing but the dialect",
			"note notification-fd takes the place of descriptor 1, which run cannot write to otherwise"}},
		{map[string]string{run: script, "flag-newpidns": ""}, []string{
			"note flag-newpidns makes run process 1 of its namespace, which TERM does not end unless it is caught; there is no timeout-kill"}},
		{map[string]string{run: script, "flag-newpidns": "", "timeout-kill": "9"}, nil},
		{map[string]string{run: script, "supervise": ""}, []string{"error supervise is not a directory; the service cannot be taken up"}},

		{map[string]string{run: script, "README": "", "conf/": "", "run~": "", "main/": "", "logs/": ""}, []string{
			`note also holds "README", "conf", "logs", "main", "run~", of no meaning to upkeep`}},
		{map[string]string{run: script, "00/": "", "01/": "", "02/": "", "03/": "", "04/": "", "05/": "", "06/": "", "07/": "", "08/": "", "09/": "", "10": ""}, []string{
			`note also holds "00", "01", "02", "03", "04", "05", "06", "07", "08", "09" and 1 more, of no meaning to upkeep`}},
		{map[string]string{run: script, "finsh*": "", "notification_fd": "", "Down": "", "timeout.kill": "", "dwon": "", "backof": "", "LOG": "", "nosetsid": ""}, []string{
			"warning Down means nothing; is it to be down?", "warning LOG means nothing; is it to be log?",
			"warning backof means nothing; is it to be backoff?", "warning dwon means nothing; is it to be down?",
			"warning finsh means nothing; is it to be finish?", "warning nosetsid means nothing; is it to be no-setsid?",
			"warning notification_fd means nothing; is it to be notification-fd?", "warning timeout.kill means nothing; is it to be timeout-kill?"}},
		{map[string]string{run: script, "type": "longrun\n", "dependencies.d/": ""}, []string{
			"note dependencies.d is for s6-rc, and means nothing here", "note type is for s6-rc, and means nothing here"}},

		{map[string]string{run: script, "after": "dns\nweb\n"}, []string{"warning after names the service itself, which is not waited for"}},
		{map[string]string{run: script, "trigger": "supervise/status\n"}, []string{"warning trigger waits for the service itself, which is not waited for"}},
	} {
		dir := service(t)
		fill(t, dir, test.files)
		x, err := fsstate.Examine(dir, "web")
		if err != nil {
			t.Errorf("%q: %v", test.files, err)
			continue
		}
		if got := said(x); !slices.Equal(got, test.want) {
			t.Errorf("%q: found\n%s\nwant\n%s", test.files, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
}

func TestExamineLinks(t *testing.T) {
	dir := service(t)
	for name, to := range map[string]string{
		"run": "../nothing", "down": "nothing", "finish": "finish", "supervise": "/run/nothing/web",
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	x, err := fsstate.Examine(dir, "web")
	want := []string{
		"error run is a link to ../nothing, which is not there; the service cannot be started",
		"warning down is a link to nothing, which is not there; it counts for nothing",
		"warning finish is a link to finish, which is not there; it counts for nothing",
	}
	if got := said(x); err != nil || !slices.Equal(got, want) {
		t.Errorf("found\n%s\n%v", strings.Join(got, "\n"), err)
	}
}

func TestExamineNoexec(t *testing.T) {
	dir := tmpfs(t, "mode=755")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_NOEXEC, ""); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, dir+"/run", "#!/bin/sh\n", 0o755)
	x, err := fsstate.Examine(dir, "web")
	want := []string{"error run is on a file system that is mounted noexec; the service cannot be started"}
	if got := said(x); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestExamineAsSomebodyElse(t *testing.T) {
	dir := service(t)
	os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755)
	harness.WriteFile(t, dir+"/run", "#!/bin/sh\n", 0o744)
	as(t, nobody, func() {
		x, err := fsstate.Examine(dir, "web")
		want := []string{"error run may not be executed by this user; the service cannot be started"}
		if got := said(x); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, %v", got, err)
		}
	})
	os.Chmod(dir, 0o711)
	as(t, nobody, func() {
		if _, err := fsstate.Examine(dir, "web"); err != unix.EACCES {
			t.Errorf("one that cannot be read: %v", err)
		}
	})
}

func TestExamineNothing(t *testing.T) {
	dir := service(t)
	harness.WriteFile(t, dir+"/file", "", 0o644)
	for path, want := range map[string]error{dir + "/nothing": unix.ENOENT, dir + "/file": fsstate.ErrNoDirectory} {
		if _, err := fsstate.Examine(path, "web"); err != want {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		if _, err := fsstate.ExamineRoot(path); err != want {
			t.Errorf("%s as a root: %v, want %v", path, err, want)
		}
	}
}

func TestIsService(t *testing.T) {
	for _, test := range []struct {
		files map[string]string
		want  bool
	}{
		{nil, false},
		{map[string]string{"run": ""}, true},
		{map[string]string{"down": ""}, true},
		{map[string]string{"supervise/": ""}, true},
		{map[string]string{"log/run": ""}, false},
		{map[string]string{"run/run": "", "start/": "", "down/": "", "finish/": ""}, false}, // services of a root
	} {
		dir := service(t)
		fill(t, dir, test.files)
		if got := fsstate.IsService(dir); got != test.want {
			t.Errorf("%q: %v", test.files, got)
		}
	}
	dir := service(t)
	os.Symlink("nothing", dir+"/run")
	if !fsstate.IsService(dir) {
		t.Error("with a run that is a link to nothing: false")
	}
}

func TestExamineRoot(t *testing.T) {
	const run, script = "/run*", "#!/bin/sh\n"
	root := service(t)
	files := map[string]string{"plain file": "", ".hidden" + run: script, ".upkeep/lock": ""}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "web", "web/log"} {
		files[name+run] = script
	}
	files["a/after"] = "b\n"
	files["b/trigger"] = "../c/supervise/status"
	files["c/after"] = "a\nd\n"
	files["d/after"] = "d\nnobody\n"
	files["e/trigger"] = root + "/web/log/supervise/status"
	files["web/log/after"] = "e\n"
	fill(t, root, files)
	for name, to := range map[string]string{"again": "a", "zero": "nothing", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := fsstate.ExamineRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	var names, got []string
	for _, x := range r.Services {
		names = append(names, x.Name)
		for _, line := range said(x) {
			got = append(got, x.Name+": "+line)
		}
	}
	for _, f := range r.Findings {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%v %s", f.Severity, f.File))+" "+f.Text)
	}
	want := []string{
		"d: warning after names the service itself, which is not waited for",
		"d: warning after names nobody, which is no service of " + root + "; it is waited for until there is one",
		"note again is the same directory as a, which makes them one service",
		"warning loop cannot be looked at: too many levels of symbolic links",
		"warning zero is a link to nothing, which is not there",
		"warning has services that wait for each other: a waits for b, b for c, c for a; the waits that are left out are a for b, b for c",
		"warning has services that wait for each other: e waits for web/log, web/log for e; the waits that are left out are e for web/log",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if want := []string{"a", "b", "c", "d", "e", "f", "web"}; !slices.Equal(names, want) {
		t.Errorf("services %q, want %q", names, want)
	}
}
