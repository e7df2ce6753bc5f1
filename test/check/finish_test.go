package check_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/test/harness"
)

// TestFinishArguments: finish gets from upkeep what it gets from the supervisor that its directory is for.
func TestFinishArguments(t *testing.T) {
	for _, peer := range []struct {
		dialect fsstate.Dialect
		program string
		mark    string // a file that tells the dialect, if finish does not
		least   int    // how many arguments the installed version gives at least
	}{
		{fsstate.Runit, "runsv", "README", 2},
		{fsstate.S6, "s6-supervise", "timeout-finish", 3},
	} {
		for how, status := range map[string]unix.WaitStatus{
			"exit 0":        0,
			"exit 3":        3 << 8,
			"exit 111":      111 << 8,
			"kill -TERM $$": unix.WaitStatus(unix.SIGTERM),
			"kill -KILL $$": unix.WaitStatus(unix.SIGKILL),
		} {
			dir := filepath.Join(t.TempDir(), "web")
			fill(t, dir, map[string]string{
				"run":     "#!/bin/sh\n[ -e pid ] || echo $$ >pid; " + how + "\n",
				"finish":  "#!/bin/sh\n[ -e args ] || { echo \"$@\" >args.new; mv args.new args; }\n",
				peer.mark: "0\n",
			})
			d, err := fsstate.Read(dir)
			if err != nil || d.Dialect != peer.dialect || !d.Finish {
				t.Fatalf("%v: %+v, %v", peer.dialect, d, err)
			}
			cmd := exec.Command(harness.Need(t, peer.program)[0], filepath.Base(dir))
			cmd.Dir = filepath.Dir(dir)
			harness.Start(t, syscall.SIGTERM, cmd)
			var args []byte
			harness.Eventually(t, peer.program+" has run finish", func() bool {
				args, err = os.ReadFile(filepath.Join(dir, "args"))
				return err == nil
			})
			got := strings.Fields(string(args))
			text, err := os.ReadFile(filepath.Join(dir, "pid"))
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			want := d.Dialect.FinishArgs("web", status, pid)[1:]
			if len(got) < peer.least || strings.Join(got, " ") != strings.Join(want[:min(len(got), len(want))], " ") {
				t.Errorf("%s, %s: it gives %q, we %q", peer.program, how, got, want)
			}
		}
	}
}
