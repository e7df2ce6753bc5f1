// Package chain_test holds the commands that become other programs, and the filters of time labels, against
// daemontools' own, on generated arguments, environments, directories and limits.
package chain_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// A run is how a command is called.
type run struct {
	dir   string
	env   []string // all of it
	stdin string
	args  []string
}

// result is what a command did, as its caller sees it.
type result struct {
	stdout, stderr string
	code           int // or 128 and the signal
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout %q\nstderr %q", r.code, r.stdout, r.stderr)
}

// of runs the program path.
func (r run) of(t *testing.T, path string) result {
	t.Helper()
	cmd := exec.Command(path, r.args...)
	cmd.Dir, cmd.Env = r.dir, r.env
	if cmd.Env == nil {
		cmd.Env = []string{"PATH=/usr/bin:/bin"}
	}
	cmd.Stdin = strings.NewReader(r.stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatalf("%s: %v", path, err)
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	code := status.ExitStatus()
	if status.Signaled() {
		code = 128 + int(status.Signal())
	}
	return result{stdout.String(), stderr.String(), code}
}

// compare wants the same of ours as of daemontools' program of that name.
func compare(t *testing.T, name string, r run) result {
	t.Helper()
	want := r.of(t, "/usr/bin/"+name)
	if got := r.of(t, harness.Bin(t, name)); got != want {
		t.Errorf("%s %q, environment %q, input %q:\nours: %v\ndaemontools': %v", name, r.args, r.env, r.stdin, got, want)
	}
	return want
}

// need skips the test unless daemontools is installed.
func need(t *testing.T, name string) *rand.Rand {
	t.Helper()
	if harness.Need(t, name)[0] != "/usr/bin/"+name {
		harness.Skip(t, "%s is not that of the package", name)
	}
	return rand.New(rand.NewPCG(1, 2))
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// golden wants of ours what stands here.
func golden(t *testing.T, name string, r run, want result) {
	t.Helper()
	if got := r.of(t, harness.Bin(t, name)); got != want {
		t.Errorf("%s %q: %v\nwant %v", name, r.args, got, want)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	harness.WriteFile(t, path, text, mode)
}
