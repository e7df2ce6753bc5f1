// Package check_test tests upkeep check as a program, on directories made for it and on those that Debian's
// packages ship.
package check_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"upkeep/test/harness"
)

// checked is what docs/check.md says of an element of --json.
type checked struct {
	Path     string
	Kind     string
	Dialect  *string
	Reason   *string
	Does     []string
	Findings []struct {
		Severity string
		File     *string
		Text     string
	}
}

// check runs upkeep check in dir.
func check(t *testing.T, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(harness.Bin(t, "upkeep"), append([]string{"check"}, args...)...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// checkJSON also tests that each key of the schema is there.
func checkJSON(t *testing.T, dir string, args ...string) (list []checked, code int) {
	t.Helper()
	out, errs, code := check(t, dir, append([]string{"--json"}, args...)...)
	var raw []map[string]any
	if err := json.Unmarshal([]byte(out), &raw); err != nil || errs != "" {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	for _, m := range raw {
		for _, key := range []string{"path", "kind", "dialect", "reason", "does", "findings"} {
			if _, ok := m[key]; !ok || len(m) != 6 {
				t.Errorf("%v lacks %s, or has too much", m, key)
			}
		}
		if m["does"] == nil || m["findings"] == nil {
			t.Errorf("%v has null for an array", m)
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	return list, code
}

// wrong are the errors and warnings, with their path below dir.
func wrong(dir string, list []checked) (lines []string) {
	for _, c := range list {
		for _, f := range c.Findings {
			if f.Severity == "note" {
				continue
			}
			path, _ := filepath.Rel(dir, c.Path)
			if f.File != nil {
				path += "/" + *f.File
			}
			lines = append(lines, path+" "+f.Text)
		}
	}
	return lines
}

const script = "#!/bin/sh\nexec sleep 1000\n"

func fill(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		harness.WriteFile(t, filepath.Join(dir, name), text, mode)
	}
}

// TestLines shows all that is said of services of each dialect.
func TestLines(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, map[string]string{
		"plain/run": script,

		"ours/run": script, "ours/down": "", "ours/essential": "", "ours/backoff": "60", "ours/kill-tree": "", "ours/no-setsid": "",
		"ours/cgroup/memory.max": "512M", "ours/cgroup/pids.max": "10", "ours/notify-socket": "", "ours/after": "plain\nof.s6\nof.dx\n",
		"ours/timeout-kill": "1500\n", "ours/log/run": script,

		"of.dx/run": script, "of.dx/trigger": "/nonexistent/x.pid\n",

		"of.encore/run": script, "of.encore/start": script, "of.encore/stop": script, "of.encore/notify": script, "of.encore/log": script,
		"of.encore2/start": script,

		"of.runit/run": script, "of.runit/finish": script, "of.runit/check": script, "of.runit/control/t": script, "of.runit/control/d": script,

		"of.s6/run": script, "of.s6/finish": script, "of.s6/notification-fd": "3\n", "of.s6/down-signal": "QUIT\n", "of.s6/reload-signal": "hup",
		"of.s6/flag-newpidns": "", "of.s6/timeout-kill": "60000", "of.s6/flag-timeout-killpg": "", "of.s6/timeout-finish": "0",
	})
	want := `. is a root with 7 services
./of.dx is a service directory of daemontoolsx: it has trigger
./of.dx trigger: a start waits until /nonexistent/x.pid names a living process; now it does not exist
./of.dx run: is started as ./run, by /bin/sh
./of.encore is a service directory of daemontools-encore: it has log, notify, start and stop
./of.encore start: runs before run, which follows if it exits with 0
./of.encore run: is started as ./run, by /bin/sh
./of.encore log: reads what run, start and stop write
./of.encore notify: is told of each start and end
./of.encore stop: runs after run when the service is to be down
./of.encore2 is a service directory of daemontools-encore: it has start
./of.encore2 start: if it exits with 0 the service is up, without a process
./of.runit is a service directory of runit: it has check, control/ and finish
./of.runit run: is started as ./run, by /bin/sh
./of.runit check: sv and svup ask it whether the service that is up is of use
./of.runit control: scripts for the letters d and t may stand in for the signal
./of.runit finish: runs after run with the exit code, or -1 after a signal, and the low byte of the wait status; it may take for ever
./of.s6 is a service directory of s6: it has down-signal, flag-newpidns, flag-timeout-killpg, notification-fd, reload-signal and timeout-finish
./of.s6 run: is started as ./run of.s6, by /bin/sh, in a PID namespace of its own
./of.s6 notification-fd: it is ready when it writes a newline to descriptor 3
./of.s6 event: s6's programs hear what becomes of it
./of.s6 down-signal: the letter d sends SIGQUIT
./of.s6 reload-signal: a lone letter l sends SIGHUP
./of.s6 timeout-kill: it gets KILL 1m0s after the letter d, with its process group
./of.s6 finish: runs after run with the exit code, or 256 after a signal, the signal, the service's name and run's process group; it may take for ever
./ours is a service directory of daemontools: no file in it is another supervisor's
./ours down: it is not started until svc -u
./ours after: a start waits until plain, of.s6 and of.dx are up, or ready where a service says when it is
./ours kill-tree: what an earlier run has left in the cgroup is ended before each start
./ours cgroup: limits memory.max, pids.max
./ours run: is started as ./run, by /bin/sh, in the session of upkeep; when it keeps dying, the pause between starts grows up to 1m0s
./ours notify-socket: it is ready when it sends READY=1 to the socket in NOTIFY_SOCKET
./ours timeout-kill: it gets KILL 1.5s after the letter d
./ours essential: when it ends by itself, everything is stopped
./ours/log is a service directory of daemontools: no file in it is another supervisor's
./ours/log run: is started as ./run, by /bin/sh
./plain is a service directory of daemontools: no file in it is another supervisor's
./plain run: is started as ./run, by /bin/sh
`
	out, errs, code := check(t, dir, ".")
	got := ""
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, ".") {
			line = "./" + line
		}
		path, text, _ := strings.Cut(line, ": ")
		got += path + " " + text
	}
	if got != want || errs != "" || code != 0 {
		t.Errorf("exit code %d, %s\n%s\nwant\n%s", code, errs, got, want)
	}
}

func TestFindings(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, map[string]string{
		"good/run": script, "good/README": "",
		"bad/run": "#!/bin/sh\r\n", "bad/backoff": "soon\x1b[2J\n",
		"root/a/run": script, "root/a/after": "b\n", "root/b/run": script, "root/b/after": "a\n", "root/b/log/run": "",
		"file": "",
	})
	for _, test := range []struct {
		args string
		code int
		want []string
	}{
		{"good", 0, []string{`good: note: also holds "README", of no meaning to upkeep`}},
		{"bad", 1, []string{
			`bad: error: run has DOS line ends: its first line is "#!/bin/sh\r"; the service cannot be started`,
			`bad: warning: backoff holds "soon\x1b[2J", which is not a number from 0 to 4294967295; the pause stays at one second`}},
		{"root", 1, []string{
			"root: warning: has services that wait for each other: a waits for b, b for a; the waits that are left out are a for b",
			"root/b/log: error: run is not executable; the service cannot be started"}},
		{"good nothing file", 1, []string{
			`good: note: also holds "README", of no meaning to upkeep`,
			"nothing: error: cannot be read: file does not exist",
			"file: error: it is not a directory"}},
	} {
		out, errs, code := check(t, dir, strings.Fields(test.args)...)
		var got []string
		for line := range strings.Lines(out) {
			if strings.Contains(line, ": note: ") || strings.Contains(line, ": warning: ") || strings.Contains(line, ": error: ") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		if !slices.Equal(got, test.want) || errs != "" || code != test.code {
			t.Errorf("check %s: exit code %d, %s\n%s\nwant\n%s", test.args, code, errs, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
		list, code := checkJSON(t, dir, strings.Fields(test.args)...)
		if code != test.code || (wrong(dir, list) != nil) != (code == 1) {
			t.Errorf("check --json %s: exit code %d: %+v", test.args, code, list)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"--json"}, {"-x", "."}, {"--long", "."}} {
		out, errs, code := check(t, t.TempDir(), args...)
		if code != 100 || out != "" || !strings.HasSuffix(errs, "check: usage: upkeep check [--json] dir [dir ...]\n") {
			t.Errorf("check %q: exit code %d, %q, %q", args, code, out, errs)
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	cmd := exec.Command(harness.Bin(t, "upkeep"), "check", ".")
	cmd.Stdout = full
	if cmd.Run(); cmd.ProcessState.ExitCode() != 111 {
		t.Errorf("on a full disk: exit code %d", cmd.ProcessState.ExitCode())
	}
}

// TestOurOwn: what upkeep ships is in order.
func TestOurOwn(t *testing.T) {
	list, code := checkJSON(t, "../..", "configs/services", "configs/demo")
	if code != 0 || len(list) < 12 {
		t.Errorf("exit code %d: %+v", code, list)
	}
}
