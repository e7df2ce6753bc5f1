package applet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"upkeep/fsstate"
	"upkeep/tai64"
	"upkeep/test/harness"
)

// A fakeService is a service directory whose supervisor is the test.
type fakeService struct {
	t   *testing.T
	dir string
}

// supervised makes a service directory whose supervise/ok has a reader.
func supervised(t *testing.T, dir string) fakeService {
	t.Helper()
	super := filepath.Join(dir, "supervise")
	if err := os.MkdirAll(super, 0o755); err != nil {
		t.Fatal(err)
	}
	ok := filepath.Join(super, "ok")
	if err := syscall.Mkfifo(ok, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(ok, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	return fakeService{t, dir}
}

func (f fakeService) write(name string, content []byte) {
	f.t.Helper()
	harness.WriteFile(f.t, filepath.Join(f.dir, "supervise", name), string(content), 0o644)
}

// ago is the label of a time so long ago, with half a second to spare on both sides of its second.
func ago(d time.Duration) tai64.Label {
	l := tai64.FromTime(time.Now().Add(-d))
	l.Nano = 500
	return l
}

func runSvstat(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var errs strings.Builder
	code = svstat(&call{argv0: "svstat", args: args, stdout: out, stderr: &errs})
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b), errs.String(), code
}

func TestSvstatUsage(t *testing.T) {
	const usage = "svstat: usage: svstat [-L] [-l] dir [dir ...]\n"
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, usage},
		{[]string{"-l"}, usage},
		{[]string{"--json"}, usage},
		{[]string{"-x", "a"}, "svstat: illegal option -- x\n" + usage},
		{[]string{"--jsonn", "a"}, "svstat: illegal option -- -\n" + usage},
	} {
		if stdout, stderr, code := runSvstat(t, c.args...); code != 100 || stderr != c.want || stdout != "" {
			t.Errorf("%q: exit code %d, %q, %q", c.args, code, stdout, stderr)
		}
	}
}

func TestSvstatLongOptionIsAnOperandAfterTheOptions(t *testing.T) {
	for _, args := range [][]string{{"--", "--json"}, {"nothing", "--json"}} {
		stdout, _, _ := runSvstat(t, args...)
		if !strings.Contains(stdout, "--json: unable to chdir: file does not exist\n") {
			t.Errorf("%q: %q", args, stdout)
		}
	}
}

// Words of daemontools-encore's states appear for encore's files only.
func TestSvstatWords(t *testing.T) {
	down := fsstate.Status{Want: fsstate.WantDown}
	up := fsstate.Status{Pid: 7, Want: fsstate.WantUp, Phase: fsstate.PhaseRun, State: fsstate.EncoreRunning}
	for _, c := range []struct {
		name   string
		status fsstate.Status
		format fsstate.Format
		beside string // files beside the status
		want   string
	}{
		{"daemontools", up, fsstate.FormatDaemontools, "", "up (pid 7) 0 seconds"},
		{"encore up", up, fsstate.FormatEncore, "", "up (pid 7) 0 seconds, running"},
		{"encore down", down, fsstate.FormatEncore, "", "down 0 seconds, normally up, stopped"},
		{"runsv up", up, fsstate.FormatRunit, "stat", "up (pid 7) 0 seconds"},
		{"runsv down", down, fsstate.FormatRunit, "stat", "down 0 seconds, normally up"},
		{"upkeep up", up, fsstate.FormatRunit, "resume", "up (pid 7) 0 seconds"},
		{"upkeep down", down, fsstate.FormatRunit, "resume", "down 0 seconds, normally up"},
		{"upkeep down, as encore", down, fsstate.FormatEncore, "resume", "down 0 seconds, normally up, stopped"},
	} {
		f := supervised(t, filepath.Join(t.TempDir(), c.name))
		future := c.status
		future.Since = ago(-time.Hour)
		f.write("status", future.Append(nil, c.format))
		switch c.beside {
		case "stat":
			f.write("stat", []byte("run\n"))
		case "resume":
			f.write("resume", fsstate.Info{Format: c.format, Pid: c.status.Pid}.Append(nil))
		}
		stdout, _, code := runSvstat(t, f.dir)
		if want := f.dir + ": " + c.want + "\n"; stdout != want || code != 0 {
			t.Errorf("%s: %q, exit code %d, want %q", c.name, stdout, code, want)
		}
	}
}

// upkeepService is a service under upkeep that has been restarted, with a logger that waits.
func upkeepService(t *testing.T) fakeService {
	f := supervised(t, filepath.Join(t.TempDir(), "web"))
	f.write("status", fsstate.Status{Since: ago(3*24*time.Hour + 4*time.Hour + time.Minute), Pid: 1234,
		Want: fsstate.WantUp, Phase: fsstate.PhaseRun}.Append(nil, fsstate.FormatRunit))
	f.write("resume", fsstate.Info{Pid: 1234, Phase: "up", Want: new(fsstate.WantUp), Starts: new(7), Signal: new(11),
		Ended: new(tai64.FromTime(time.Unix(1790000000, 123456789))), Note: "a\x1bb"}.Append(nil))
	log := supervised(t, filepath.Join(f.dir, "log"))
	log.write("status", fsstate.Status{Since: ago(12 * time.Second), Want: fsstate.WantUp}.Append(nil, fsstate.FormatRunit))
	log.write("resume", fsstate.Info{Phase: "waiting", Starts: new(1), Code: new(111), Cause: "restarts in 1s"}.Append(nil))
	return f
}

func TestSvstatJSON(t *testing.T) {
	f := upkeepService(t)
	stdout, stderr, code := runSvstat(t, "--json", f.dir, "/nonexistent")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %q", code, stderr)
	}
	var got []map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || len(got) != 2 {
		t.Fatalf("%v in %s", err, stdout)
	}
	since, _ := got[0]["since"].(string)
	at, err := time.Parse(time.RFC3339Nano, since)
	if age := time.Since(at); err != nil || age < 76*time.Hour || age > 77*time.Hour || !strings.HasSuffix(since, ".000000500Z") {
		t.Errorf("since %q", since)
	}
	seconds, _ := got[0]["seconds"].(float64)
	if seconds < 76*3600 || seconds > 77*3600 {
		t.Errorf("seconds %v", seconds)
	}
	log, _ := got[0]["log"].(map[string]any)
	for _, entry := range []map[string]any{got[0], log} {
		delete(entry, "since")
		delete(entry, "seconds")
	}
	delete(got[0], "log")
	check := func(what string, got map[string]any, want string) {
		t.Helper()
		b, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != want {
			t.Errorf("%s:\ngot  %s\nwant %s", what, b, want)
		}
	}
	check("service", got[0], fmt.Sprintf(`{"cause":null,"cgroup":null,"dir":%q,"error":null,`+
		`"last_exit":{"at":"2026-09-21T14:13:20.123456789Z","code":null,"name":"SIGSEGV","oom":false,"signal":11},"normally":"up",`+
		`"note":"a\u001bb","paused":false,"phase":"up","pid":1234,"restarts":6,"starts":7,"supervised":true,"up":true,"usage":null,"want":"up"}`, f.dir))
	check("its log", log, fmt.Sprintf(`{"cause":"restarts in 1s","cgroup":null,"dir":%q,"error":null,`+
		`"last_exit":{"at":null,"code":111,"name":null,"oom":false,"signal":null},"log":null,"normally":"up",`+
		`"note":null,"paused":false,"phase":"waiting","pid":null,"restarts":0,"starts":1,"supervised":true,"up":false,"usage":null,"want":"up"}`, f.dir+"/log"))
	check("missing", got[1], `{"cause":null,"cgroup":null,"dir":"/nonexistent","error":"unable to chdir: file does not exist",`+
		`"last_exit":null,"log":null,"normally":null,"note":null,"paused":null,"phase":null,"pid":null,"restarts":null,`+
		`"seconds":null,"since":null,"starts":null,"supervised":null,"up":null,"usage":null,"want":null}`)
}

func TestSvstatJSONSupervised(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]string{"never": "false", "ended": "false", "unclear": "null"} {
		harness.WriteFile(t, filepath.Join(dir, name, "down"), "", 0o644)
		switch name {
		case "ended":
			os.Mkdir(filepath.Join(dir, name, "supervise"), 0o700)
			syscall.Mkfifo(filepath.Join(dir, name, "supervise", "ok"), 0o600)
		case "unclear":
			harness.WriteFile(t, filepath.Join(dir, name, "supervise"), "", 0o644)
		}
		stdout, _, _ := runSvstat(t, "--json", filepath.Join(dir, name))
		if !strings.Contains(stdout, `"supervised": `+want+",") || !strings.Contains(stdout, `"normally": "down",`) {
			t.Errorf("%s: want supervised %s, normally down in %s", name, want, stdout)
		}
	}
}

func TestSvstatIgnoresInfoOfAnotherProcess(t *testing.T) {
	f := upkeepService(t)
	f.write("status", fsstate.Status{Since: ago(0), Pid: 99, Want: fsstate.WantUp}.Append(nil, fsstate.FormatDaemontools))
	stdout, _, _ := runSvstat(t, "--json", f.dir)
	if !strings.Contains(stdout, `"pid": 99,`) || strings.Contains(stdout, "SIGSEGV") {
		t.Errorf("got %s", stdout)
	}
}

func TestSvstatLong(t *testing.T) {
	f := upkeepService(t)
	stdout, stderr, code := runSvstat(t, "--long", f.dir, "/nonexistent")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %q", code, stderr)
	}
	exit := time.Unix(1790000000, 0).Format("2006-01-02 15:04:05")
	want := regexp.MustCompile(`^` + regexp.QuoteMeta(f.dir) + `: up 3d 4h, pid 1234
    since      \d{4}-\d\d-\d\d \d\d:\d\d:\d\d
    restarts   6
    last exit  killed by SIGSEGV, ` + exit + `
    note       a\x{FFFD}b
    log        down 1\ds, waiting, normally up, want up
    log cause  restarts in 1s
/nonexistent: unable to chdir: file does not exist
$`)
	if !want.MatchString(stdout) {
		t.Errorf("got\n%swant\n%s", stdout, want)
	}
}

func TestHuman(t *testing.T) {
	for seconds, want := range map[uint64]string{
		0: "0s", 59: "59s", 60: "1m 0s", 3599: "59m 59s", 3600: "1h 0m", 86399: "23h 59m", 86400: "1d 0h", 1 << 62: "53375995583650d 7h",
	} {
		if got := human(seconds); got != want {
			t.Errorf("%d: %q, want %q", seconds, got, want)
		}
	}
}
