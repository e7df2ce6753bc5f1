package clients_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// What readproctitle reads stands in its command line, as in that of daemontools' own.
func TestReadproctitle(t *testing.T) {
	programs := []string{harness.Bin(t, "readproctitle"), harness.Need(t, "readproctitle")[0]}
	for _, c := range []struct{ last, input, want string }{
		{strings.Repeat(".", 20), "fatal error xyz\nwarning\x00 abc\n", "... xyz\nwarning abc\n"},
		{".....", "x", "....x"},
		{"abcde", "", "....."},
		{strings.Repeat(".", 400), strings.Repeat("0123456789", 1000), "..." + strings.Repeat("0123456789", 40)[3:]},
	} {
		for _, program := range programs {
			in, out, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(program, "service", "errors:", c.last)
			cmd.Stdin = in
			p := harness.Start(t, syscall.SIGTERM, cmd)
			in.Close()
			if _, err := io.WriteString(out, c.input); err != nil {
				t.Fatal(err)
			}
			var args []string
			harness.Eventually(t, fmt.Sprintf("%s shows %q", program, c.want), func() bool {
				b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.Process.Pid))
				args = strings.Split(string(b), "\x00")
				return len(args) == 5 && args[3] == c.want
			})
			if args[0] != program || args[1] != "service" || args[2] != "errors:" {
				t.Errorf("%s: the arguments before are now %q", program, args[:3])
			}
			out.Close()
			if code := p.Wait(); code != 0 {
				t.Errorf("%s: exit code %d at the end of input", program, code)
			}
		}
	}
}

func TestReadproctitleExitCodes(t *testing.T) {
	harness.Need(t, "readproctitle")
	for _, args := range [][]string{{}, {"...."}, {"label", ""}, {"....."}, {"label", "....."}} {
		compare(t, t.TempDir(), "readproctitle", args...)
	}
	directory, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	cmd := exec.Command(harness.Bin(t, "readproctitle"), ".....")
	cmd.Stdin = directory
	if out, code := harness.RunCmd(t, cmd); code != 111 || out != "" {
		t.Errorf("a read error: exit code %d, %q", code, out)
	}
}
