package applet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"upkeep/test/harness"
)

// The test binary is also the commands that svscanboot runs: it executes itself by their names. Its
// svscan only says what it got, and stays until a signal.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "svscanboot", "readproctitle":
		os.Exit(Main(os.Args))
	case "svscan":
		fmt.Fprintf(os.Stderr, "svscan %q %q", os.Args[1:], os.Environ())
		fmt.Print(" and stdout")
		time.Sleep(time.Hour) // ended by a signal
	}
	os.Exit(m.Run())
}

func TestSvscanboot(t *testing.T) {
	root := t.TempDir()
	left := controlFIFO(t, filepath.Join(root, "a"))
	leftLog := controlFIFO(t, filepath.Join(root, "a", "log"))
	hidden := controlFIFO(t, filepath.Join(root, ".hidden"))

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	boot := harness.Start(t, syscall.SIGKILL, &exec.Cmd{
		Path: self, Args: []string{"svscanboot", root}, Env: append(os.Environ(), "SECRET=1"),
	})

	reader := ""
	harness.Eventually(t, "readproctitle is svscan's child", func() bool {
		task := fmt.Sprintf("/proc/%d/task/%[1]d/children", boot.Process.Pid)
		if b, _ := os.ReadFile(task); len(b) > 0 {
			reader = strings.Fields(string(b))[0]
		}
		return reader != "" && cmdline(reader)[0] == "readproctitle"
	})
	want := fmt.Sprintf(`svscan [%q] ["PATH=%s"] and stdout`, root, bootPath)
	want = strings.Repeat(".", 400-len(want)) + want
	harness.Eventually(t, "svscan's messages are in readproctitle's command line", func() bool {
		args := cmdline(reader)
		return strings.HasSuffix(args[len(args)-1], "stdout")
	})
	if got := cmdline(reader); len(got) != 4 || got[1] != "service" || got[2] != "errors:" || got[3] != want {
		t.Errorf("readproctitle shows %q, want service errors: %q", got, want)
	}
	if got := cmdline(fmt.Sprint(boot.Process.Pid)); len(got) != 2 || got[0] != "svscan" || got[1] != root {
		t.Errorf("the process that was started has become %q, want svscan %s", got, root)
	}
	for _, c := range []struct {
		service string
		fifo    int
		want    string
	}{{"a", left, "dx"}, {"a/log", leftLog, "dx"}, {".hidden", hidden, ""}} {
		buf := make([]byte, 10)
		n, _ := syscall.Read(c.fifo, buf)
		if got := string(buf[:max(n, 0)]); got != c.want {
			t.Errorf("%s got %q, want %q", c.service, got, c.want)
		}
	}

	boot.Process.Signal(syscall.SIGTERM)
	boot.Wait()
	harness.Eventually(t, "readproctitle has ended with svscan", func() bool {
		stat, err := os.ReadFile("/proc/" + reader + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

func TestSvscanbootUsage(t *testing.T) {
	var stderr strings.Builder
	c := &call{argv0: "svscanboot", args: []string{"a", "b"}, stderr: &stderr}
	if code := svscanboot(c); code != 100 || stderr.String() != "svscanboot: usage: svscanboot [root]\n" {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
}

// controlFIFO makes the supervise/control of a service directory, with a reader.
func controlFIFO(t *testing.T, dir string) (fd int) {
	t.Helper()
	path := filepath.Join(dir, "supervise", "control")
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
	return fd
}

// cmdline is the command line of a process as ps shows it.
func cmdline(pid string) []string {
	b, _ := os.ReadFile("/proc/" + pid + "/cmdline")
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}
