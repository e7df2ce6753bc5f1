package chain_test

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// Signals end a command as they end a C program: with their own status, and without a word.
func TestSignals(t *testing.T) {
	t.Parallel()
	need(t, "tai64n")
	for _, c := range []struct {
		name string
		args []string
	}{
		{"tai64n", nil}, {"tai64nlocal", nil}, {"fghack", []string{"sh", "-c", "read up; echo $up; exec cat >/dev/null 2>&1"}},
		{"readproctitle", []string{strings.Repeat(".", 20)}},
	} {
		for _, signal := range []syscall.Signal{
			syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE,
			syscall.SIGALRM, syscall.SIGTERM, syscall.SIGXCPU, syscall.SIGXFSZ, syscall.SIGVTALRM, syscall.SIGPWR,
		} {
			for _, program := range []string{"/usr/bin/" + c.name, harness.Bin(t, c.name)} {
				code, out := signalled(t, signal, program, c.args...)
				if code != 128+int(signal) || strings.Contains(out, "\n\n") || strings.Count(out, "\n") > 1 {
					t.Errorf("%s after %v: exit code %d, %q", program, signal, code, out)
				}
			}
		}
	}
}

// signalled sends a signal to a program when it has read a line.
func signalled(t *testing.T, signal syscall.Signal, program string, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = t.TempDir()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	p := harness.Start(t, syscall.SIGKILL, cmd)
	io.WriteString(in, "line\n")
	harness.Eventually(t, program+" has read a line", func() bool {
		title, _ := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/cmdline")
		return strings.Contains(p.Output()+string(title), "line\n")
	})
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	return p.Wait(), p.Output()
}
