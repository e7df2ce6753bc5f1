package clients_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// A fifo is a FIFO that the test reads, in place of a supervisor.
type fifo struct {
	t  *testing.T
	fd int
}

func makeFIFO(t *testing.T, path string) fifo {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	return fifo{t, fd}
}

// read returns what has been written since the last read, by processes that have ended.
func (f fifo) read() string {
	f.t.Helper()
	buf := make([]byte, 4096)
	n, err := syscall.Read(f.fd, buf)
	if err == syscall.EAGAIN { // somebody has it open for writing, and has not written yet
		return ""
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return string(buf[:n])
}

// Of daemontools' letters our svc sends the bytes that daemontools' sends, and says the same.
func TestSvcBytesOfDaemontools(t *testing.T) {
	theirs, ours := harness.Need(t, "svc")[0], harness.Bin(t, "svc")
	root := t.TempDir()
	dirs := []string{"a", "two words", "ünï ✓"}
	var fifos []fifo
	for _, dir := range dirs {
		fifos = append(fifos, makeFIFO(t, filepath.Join(root, dir, "supervise", "control")))
	}
	sent := func(svc string, args []string) (r result, bytes string) {
		r = command(t, root, nil, svc, args...)
		var all []string
		for _, f := range fifos {
			all = append(all, f.read())
		}
		return r, strings.Join(all, "|")
	}
	var combinations [][]string
	for _, options := range []string{
		"", "-dx", "-xd", "-u -d -u", "-udu -d", "-udopchaitkx", "-xkti -a -hcpodu", "-dd -dd", "-d -- -x", "-d -", "-d - -x",
		"-u -- --", "-uu", "-t -k -t -k -x", "-o -",
	} {
		combinations = append(combinations, strings.Fields(options))
	}
	for _, letter := range "udopchaitkx" {
		combinations = append(combinations, []string{"-" + string(letter)})
	}
	for _, options := range combinations {
		for _, operands := range [][]string{nil, {"a"}, dirs, {"two words", "missing", "a", "a"}, {"a", "-u"}, {"ünï ✓/", "./a"}} {
			args := append(options[:len(options):len(options)], operands...)
			wantResult, wantBytes := sent(theirs, args)
			gotResult, gotBytes := sent(ours, args)
			if gotResult != wantResult || gotBytes != wantBytes {
				t.Errorf("svc %q: ours: %q\n%v\ndaemontools': %q\n%v", args, gotBytes, gotResult, wantBytes, wantResult)
			}
		}
	}
}

// Letters that daemontools does not have are sent as daemontools-encore sends them.
func TestSvcBytesOfEncore(t *testing.T) {
	svc := harness.Bin(t, "svc")
	root := t.TempDir()
	control := makeFIFO(t, filepath.Join(root, "a", "supervise", "control"))
	const usage = "svc options: + kill process group, = kill parent process, L kill log, l kill main, u up, d down, o once, " +
		"x exit, p pause, c continue, h hup, a alarm, i interrupt, t term, k kill, q quit, 1 SIGUSR1, 2 SIGUSR2, w SIGWINCH\n"
	for _, c := range []struct {
		args string
		sent string
		want result
	}{
		{"-ud -L -ud -l -u a", "ludLudlu", result{}},
		{"-Lu a", "lLu", result{}},
		{"-+t a", "l+t", result{}},
		{"-t -= -k a", "lt=k", result{}},
		{"-q12w a", "q12w", result{}},
		{"a", "", result{}},
		{"-" + strings.Repeat("Lu", 15) + "L a", "l" + strings.Repeat("Lu", 15) + "L", result{}},
		{"-" + strings.Repeat("Lu", 16) + " a", "", result{stderr: "svc: fatal: too many options\n", code: 111}},
		{"-uz a", "", result{stderr: "svc: illegal option -- z\n" + usage, code: 100}},
		{"--down a", "", result{stderr: "svc: illegal option -- -\n" + usage, code: 100}},
	} {
		if got := command(t, root, nil, svc, strings.Fields(c.args)...); got != c.want {
			t.Errorf("svc %s: %v\nwant %v", c.args, got, c.want)
		}
		if got := control.read(); got != c.sent {
			t.Errorf("svc %s sent %q, want %q", c.args, got, c.sent)
		}
	}
}

// A supervisor that reads no more makes svc wait, as daemontools' does.
func TestSvcWaitsForRoom(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a", "supervise", "control")
	control := makeFIFO(t, path)
	fill, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := syscall.Write(fill, make([]byte, 4096)); err == syscall.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	syscall.Close(fill)

	cmd := exec.Command(harness.Bin(t, "svc"), "-dx", "a")
	cmd.Dir = root
	svc := harness.Start(t, syscall.SIGTERM, cmd)
	harness.Eventually(t, "svc sleeps in its write", func() bool {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", svc.Process.Pid))
		for _, task := range tasks {
			b, _ := os.ReadFile(task)
			if strings.HasPrefix(string(b), fmt.Sprintf("%d ", syscall.SYS_WRITE)) {
				return true
			}
		}
		return !svc.Running()
	})
	var all string
	harness.Eventually(t, "svc's bytes arrive", func() bool {
		all += control.read()
		return strings.HasSuffix(all, "dx")
	})
	if code := svc.Wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, svc.Output())
	}
}

func TestSvcHonoursSuperviseDir(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(root, "state")
	absolute := makeFIFO(t, filepath.Join(state+"/"+strings.ReplaceAll(dir[1:], "/", ":"), "control"))
	relative := makeFIFO(t, filepath.Join(dir, "sv", "control"))
	for _, c := range []struct {
		variable string
		fifo     fifo
	}{{state, absolute}, {"sv", relative}} {
		got := command(t, root, []string{"SUPERVISEDIR=" + c.variable}, harness.Bin(t, "svc"), "-t", "a")
		if got != (result{}) {
			t.Errorf("SUPERVISEDIR=%s: %v", c.variable, got)
		}
		if sent := c.fifo.read(); sent != "t" {
			t.Errorf("SUPERVISEDIR=%s: sent %q", c.variable, sent)
		}
	}
}
