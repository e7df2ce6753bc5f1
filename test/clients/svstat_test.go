package clients_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"upkeep/test/harness"
)

// The test is the supervisor of a service, so that any status can be shown to a client.
func fakeService(t *testing.T, dir string) {
	t.Helper()
	makeFIFO(t, filepath.Join(dir, "supervise", "ok"))
}

func writeStatus(t *testing.T, dir string, status []byte) {
	t.Helper()
	harness.WriteFile(t, filepath.Join(dir, "supervise", "status"), string(status), 0o644)
}

// label is the TAI64N label of a time, in its external form.
func label(at time.Time) []byte {
	b := binary.BigEndian.AppendUint64(nil, 1<<62+10+uint64(at.Unix()))
	return binary.BigEndian.AppendUint32(b, 500)
}

// Whatever bytes a status file of a supervisor without daemontools-encore's words has, our svstat
// prints daemontools' line for it.
func TestSvstatOfAnyBytes(t *testing.T) {
	root := t.TempDir()
	fakeService(t, filepath.Join(root, "a"))
	// runsv leaves this, so that what is longer than 18 bytes is not taken for encore's.
	harness.WriteFile(t, filepath.Join(root, "a", "supervise", "stat"), "run\n", 0o644)
	fills := [][]byte{make([]byte, 45), []byte(strings.Repeat("\xff", 45)), []byte(strings.Repeat("u", 45)),
		append(label(time.Now().Add(-100*time.Second)), strings.Repeat("d", 33)...),
		append(future(), "\x01\x00\x00\x80\x01\x00\x01\x02 and more that nobody reads"...)}
	for _, down := range []bool{false, true} {
		if down {
			harness.WriteFile(t, filepath.Join(root, "a", "down"), "", 0o644)
		}
		for _, fill := range fills {
			for n := 0; n <= len(fill); n++ {
				writeStatus(t, filepath.Join(root, "a"), fill[:n])
				compare(t, root, "svstat", "a")
			}
		}
		// Each of the bytes that decide something, in turn.
		for at := 12; at < 18; at++ {
			for _, value := range []byte{1, 'd', 'u', 0x80, 0xff} {
				status := append(label(time.Now().Add(-5*time.Second)), 0, 0, 0, 0, 0, 0)
				status[at] = value
				writeStatus(t, filepath.Join(root, "a"), status)
				compare(t, root, "svstat", "a")
			}
		}
	}
}

func TestSvstatOfOddFiles(t *testing.T) {
	root := t.TempDir()
	for name, lay := range map[string]func(super string) error{
		"no status":     func(super string) error { return nil },
		"status a loop": func(super string) error { return os.Symlink("status", super+"/status") },
		"empty status":  func(super string) error { return os.WriteFile(super+"/status", nil, 0o644) },
		"down a loop":   func(super string) error { return os.Symlink("down", super+"/../down") },
		"down dangling": func(super string) error {
			return os.Symlink("nowhere", super+"/../down")
		},
	} {
		fakeService(t, filepath.Join(root, name))
		if err := lay(filepath.Join(root, name, "supervise")); err != nil {
			t.Fatal(err)
		}
		compare(t, root, "svstat", name)
	}
	harness.WriteFile(t, filepath.Join(root, "ok a file", "supervise", "ok"), "", 0o644)
	if err := os.MkdirAll(filepath.Join(root, "ok a directory", "supervise", "ok"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ok a file", "ok a directory"} {
		compare(t, root, "svstat", name)
	}

	// Here daemontools' svstat goes on with bytes that it has not read.
	fakeService(t, filepath.Join(root, "status a directory"))
	if err := os.Mkdir(filepath.Join(root, "status a directory", "supervise", "status"), 0o755); err != nil {
		t.Fatal(err)
	}
	want := result{stdout: "status a directory: unable to read supervise/status: is a directory\n"}
	if got := command(t, root, nil, harness.Bin(t, "svstat"), "status a directory"); got != want {
		t.Errorf("%v\nwant %v", got, want)
	}
}

// Files observed from daemontools-encore and runit, and what svstat and svup say of them.
func TestStatusFilesOfOthers(t *testing.T) {
	for i, c := range []struct {
		tail   string // bytes 12 and on
		down   bool
		runsv  bool
		svstat string // after "a: "; S is the number of seconds
		up     bool
	}{
		{tail: "952e0000 00 75", svstat: "up (pid 11925) S seconds", up: true},
		{tail: "00000000 00 64", svstat: "down S seconds, normally up"},
		{tail: "00000000 00 64", down: true, svstat: "down S seconds"},
		{tail: "aa2e0000 00 00", down: true, svstat: "up (pid 11946) S seconds, normally down", up: true},
		{tail: "00000000 00 75", svstat: "down S seconds, normally up, want up"},
		{tail: "2b410000 01 75 03 00", svstat: "up (pid 16683) S seconds, paused, running", up: true},
		{tail: "66410000 00 00 03 00", svstat: "up (pid 16742) S seconds, once, running", up: true},
		{tail: "a1410000 00 75 01 00", svstat: "up (pid 16801) S seconds, starting", up: true},
		{tail: "a1410000 00 64 04 00", svstat: "up (pid 16801) S seconds, want down, stopping", up: true},
		{tail: "c4410000 00 64 00 00", svstat: "up (pid 16836) S seconds, want down, stopped", up: true},
		{tail: "00000000 00 64 05 00", svstat: "down S seconds, normally up, failed"},
		{tail: "00000000 00 00 02 00", svstat: "down S seconds, normally up, started", up: true},
		{tail: "00000000 00 64 09 00", svstat: "down S seconds, normally up, status unknown"},
		{tail: "9e490000 00 64 00 02", runsv: true, svstat: "up (pid 18846) S seconds, want down", up: true},
		{tail: "9e490000 00 75 01 01", svstat: "up (pid 18846) S seconds", up: true},
		{tail: "00000000 00 64 00 00", runsv: true, svstat: "down S seconds, normally up"},
	} {
		root := t.TempDir()
		dir := filepath.Join(root, "a")
		fakeService(t, dir)
		if c.down {
			harness.WriteFile(t, filepath.Join(dir, "down"), "", 0o644)
		}
		if c.runsv {
			harness.WriteFile(t, filepath.Join(dir, "supervise", "stat"), "", 0o644)
		}
		writeStatus(t, dir, append(future(), unhex(t, c.tail)...))
		want := result{stdout: "a: " + strings.Replace(c.svstat, "S", "0", 1) + "\n"}
		if got := command(t, root, nil, harness.Bin(t, "svstat"), "a"); got != want {
			t.Errorf("%d: %s: svstat: %v\nwant %v", i, c.tail, got, want)
		}
		want = result{code: 100}
		if c.up {
			want.code = 0
		}
		if got := command(t, root, nil, harness.Bin(t, "svup"), "a"); got != want {
			t.Errorf("%d: %s: svup: %v\nwant %v", i, c.tail, got, want)
		}
	}
}

// future is a label that makes 0 seconds, whatever the clock says.
func future() []byte { return label(time.Now().Add(time.Hour)) }

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// daemontools-encore's status has a second part where there is a log script.
func TestLogProcess(t *testing.T) {
	const (
		up      = "952e0000 00 75 03 00"
		stopped = "00000000 00 64 00 00"
	)
	for _, c := range []struct {
		main, log string
		options   string
		svstat    string
		svup      int
	}{
		{up, up, "", "a: up (pid 11925) 0 seconds, running\na log: up (pid 11925) 0 seconds, running\n", 0},
		{up, stopped, "", "a: up (pid 11925) 0 seconds, running\na log: down 0 seconds, normally up, stopped\n", 100},
		{stopped, up, "", "a: down 0 seconds, normally up, stopped\na log: up (pid 11925) 0 seconds, running\n", 100},
		{up, stopped, "-l", "a: up (pid 11925) 0 seconds, running\n", 0},
		{stopped, up, "-L", "a log: up (pid 11925) 0 seconds, running\n", 0},
		{stopped, up, "-l -L", "a log: up (pid 11925) 0 seconds, running\n", 0},
		{stopped, up, "-Ll", "a: down 0 seconds, normally up, stopped\n", 100},
		{up, "", "", "a: up (pid 11925) 0 seconds, running\n", 0},
		{up, "", "-L", "a: no log service\n", 100},
		{up, "", "-l", "a: up (pid 11925) 0 seconds, running\n", 0},
		// 38 bytes: the log's state is missing.
		{up, "952e0000 00 75", "", "a: up (pid 11925) 0 seconds, running\na log: up (pid 11925) 0 seconds\n", 0},
	} {
		root := t.TempDir()
		fakeService(t, filepath.Join(root, "a"))
		status := append(future(), unhex(t, c.main)...)
		if c.log != "" {
			status = append(append(status, future()...), unhex(t, c.log)...)
		}
		writeStatus(t, filepath.Join(root, "a"), status)
		args := append(strings.Fields(c.options), "a")
		if got, want := command(t, root, nil, harness.Bin(t, "svstat"), args...), (result{stdout: c.svstat}); got != want {
			t.Errorf("svstat %q: %v\nwant %v", args, got, want)
		}
		if got, want := command(t, root, nil, harness.Bin(t, "svup"), args...), (result{code: c.svup}); got != want {
			t.Errorf("svup %q: %v\nwant %v", args, got, want)
		}
	}
}

func TestSvup(t *testing.T) {
	root := t.TempDir()
	fakeService(t, filepath.Join(root, "no status"))
	fakeService(t, filepath.Join(root, "short"))
	writeStatus(t, filepath.Join(root, "short"), make([]byte, 17))
	harness.WriteFile(t, filepath.Join(root, "never", "run"), "", 0o755)
	harness.WriteFile(t, filepath.Join(root, "odd", "supervise"), "", 0o644)
	fakeService(t, filepath.Join(root, "unreadable"))
	if err := os.Mkdir(filepath.Join(root, "unreadable", "supervise", "status"), 0o755); err != nil {
		t.Fatal(err)
	}
	const usage = "svup: usage: svup [-L] [-l] dir\n"
	for _, c := range []struct {
		args []string
		want result
	}{
		{nil, result{stderr: usage, code: 100}},
		{[]string{"-x", "never"}, result{stderr: "svup: illegal option -- x\n" + usage, code: 100}},
		{[]string{"never"}, result{code: 100}},
		{[]string{"no status"}, result{code: 100}},
		{[]string{"missing", "never"}, result{stderr: "svup: fatal: unable to chdir to missing: file does not exist\n", code: 111}},
		{[]string{"odd"}, result{stderr: "svup: fatal: unable to open supervise/ok: not a directory\n", code: 111}},
		{[]string{"short"}, result{stderr: "svup: fatal: bad data in supervise/status: truncated file\n", code: 111}},
		{[]string{"unreadable"}, result{stderr: "svup: fatal: unable to read supervise/status: is a directory\n", code: 111}},
	} {
		if got := command(t, root, nil, harness.Bin(t, "svup"), c.args...); got != c.want {
			t.Errorf("svup %q: %v\nwant %v", c.args, got, c.want)
		}
	}
}

// Messages show the supervise directory that SUPERVISEDIR leads to.
// TestSvupChecks: the script check of a service of runit's has the last word on whether it is up.
func TestSvupChecks(t *testing.T) {
	const up, down = "952e0000 00 75 00 01", "00000000 00 64 00 00"
	for _, c := range []struct {
		what, status string
		check        string
		mode         os.FileMode
		mark         string // a file that makes it another supervisor's
		want         result
	}{
		{"it passes", up, "#!/bin/sh\n[ -e check ] && [ $# = 0 ] && [ \"$MARK\" = x ]\necho no\n", 0o755, "", result{}},
		{"it does not", up, "#!/bin/sh\nexit 3\n", 0o755, "", result{code: 100}},
		{"it is killed", up, "#!/bin/sh\nkill -9 $$\n", 0o755, "", result{code: 100}},
		{"it complains", up, "#!/bin/sh\necho deaf >&2; exit 1\n", 0o755, "", result{stderr: "deaf\n", code: 100}},
		{"it is down anyway", down, "#!/bin/sh\necho asked >&2\n", 0o755, "", result{code: 100}},
		{"it is not executable", up, "#!/bin/sh\nexit 1\n", 0o644, "", result{}},
		{"it cannot be executed", up, "#!/nonexistent\n", 0o755, "", result{stderr: "svup: fatal: unable to run check: file does not exist\n", code: 111}},
		{"it is s6's", up, "#!/bin/sh\nexit 1\n", 0o755, "max-death-tally", result{}},
	} {
		root := t.TempDir()
		fakeService(t, filepath.Join(root, "a"))
		writeStatus(t, filepath.Join(root, "a"), append(future(), unhex(t, c.status)...))
		harness.WriteFile(t, filepath.Join(root, "a", "supervise", "stat"), "", 0o644) // runsv's
		harness.WriteFile(t, filepath.Join(root, "a", "check"), c.check, c.mode)
		if c.mark != "" {
			harness.WriteFile(t, filepath.Join(root, "a", c.mark), "1", 0o644)
		}
		if got := command(t, root, []string{"MARK=x"}, harness.Bin(t, "svup"), "a"); got != c.want {
			t.Errorf("%s: %v\nwant %v", c.what, got, c.want)
		}
	}
}

func TestSuperviseDirInMessages(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fakeService(t, dir) // which the variable leads away from
	state := filepath.Join(root, "state")
	there := state + "/" + strings.ReplaceAll(dir[1:], "/", ":")
	for variable, path := range map[string]string{"sv": "sv", state: there, "": "supervise"} {
		want := fmt.Sprintf("a: unable to open %s/ok: file does not exist\n", path)
		if variable == "" {
			want = "a: unable to open supervise/status: file does not exist\n"
		}
		got := command(t, root, []string{"SUPERVISEDIR=" + variable}, harness.Bin(t, "svstat"), "a")
		if got != (result{stdout: want}) {
			t.Errorf("SUPERVISEDIR=%s: %v\nwant %q", variable, got, want)
		}
	}
}
