package rig

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

// Upkeep is a running daemon. What it and its services write is in a file, so that a process that
// hangs with its output open can't keep the test from seeing that the daemon has ended.
type Upkeep struct {
	*harness.Process
	Root string

	log string
	t   testing.TB
}

// Command returns the command line of the daemon, to be changed before Start.
func Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(harness.Bin(t, "upkeep"), args...)
}

// Start starts the daemon in a cgroup of its own where that is possible, unless cmd names one.
func Start(t testing.TB, cmd *exec.Cmd) *Upkeep {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = f
	}
	if cmd.Stderr == nil {
		cmd.Stderr = f
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if cmd.SysProcAttr.Cloneflags&syscall.CLONE_NEWUSER == 0 && !cmd.SysProcAttr.UseCgroupFD {
		if dir := group(t); dir != "" {
			if g, err := os.Open(dir); err == nil {
				defer g.Close()
				cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(g.Fd())
			}
		}
	}
	u := &Upkeep{log: f.Name(), t: t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("output of %v:\n%s", cmd.Args, u.Output())
		}
	})
	u.Process = harness.Start(t, syscall.SIGTERM, cmd)
	return u
}

// StartOn starts the daemon on a root directory that is made if it is missing.
func StartOn(t testing.TB, root string, args ...string) *Upkeep {
	t.Helper()
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	u := Start(t, Command(t, append(args, root)...))
	u.Root = root
	return u
}

// Output is what the daemon and its services have written so far.
func (u *Upkeep) Output() string {
	b, err := os.ReadFile(u.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Log is the file that Output reads.
func (u *Upkeep) Log() string { return u.log }

// EventuallySays waits for a line that holds all of the words.
func (u *Upkeep) EventuallySays(words ...string) {
	u.t.Helper()
	harness.Eventually(u.t, fmt.Sprintf("the daemon says %q", words), func() bool { return u.Says(words...) })
}

// Says tells whether a line of the output holds all of the words.
func (u *Upkeep) Says(words ...string) bool {
lines:
	for _, line := range strings.Split(u.Output(), "\n") {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		return true
	}
	return false
}

// Stop sends a signal and returns the exit code, failing the test if that took longer than limit.
func (u *Upkeep) Stop(sig syscall.Signal, limit time.Duration) int {
	u.t.Helper()
	begin := time.Now()
	if err := u.Process.Process.Signal(sig); err != nil {
		u.t.Fatalf("signal %v: %v", sig, err)
	}
	code := u.Wait()
	if took := time.Since(begin); took > limit {
		u.t.Errorf("it took %v to end on %v", took, sig)
	}
	return code
}

// Lives fails the test if the daemon has ended.
func (u *Upkeep) Lives() {
	u.t.Helper()
	if !u.Running() {
		u.t.Fatalf("the daemon has ended")
	}
}

// Pid is the daemon's.
func (u *Upkeep) Pid() int { return u.Process.Process.Pid }
