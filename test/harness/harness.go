// Package harness holds what the tests of the whole program share: the built binary, the peers it is
// compared with, processes that end with their test, and waiting for what is seen from outside.
package harness

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience bounds every wait. It is long because it only ends a test that has failed already.
const Patience = time.Minute

// Skip skips the test with a reason; where UPKEEP_TEST_ALL is set, a skip is a failure.
func Skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("UPKEEP_TEST_ALL") != "" {
		t.Fatalf("would skip, but UPKEEP_TEST_ALL is set: "+format, args...)
	}
	t.Skipf(format, args...)
}

// Need skips the test unless every named program is installed, and returns their paths.
func Need(t testing.TB, programs ...string) []string {
	t.Helper()
	var paths []string
	for _, p := range programs {
		path, err := exec.LookPath(p)
		if err != nil {
			Skip(t, "%s is not installed", p)
		}
		paths = append(paths, path)
	}
	return paths
}

// NeedRoot skips the test unless it runs as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		Skip(t, "needs root")
	}
}

var build = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("UPKEEP_BIN"); dir != "" {
		return filepath.Abs(dir)
	}
	_, self, _, _ := runtime.Caller(0)
	top := filepath.Join(filepath.Dir(self), "..", "..")
	cmd := exec.Command("make", "--silent", "-C", top, "all")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make: %w\n%s", err, out)
	}
	return filepath.Join(top, "bin"), nil
})

// Bin returns the path of one of our commands ("upkeep", "svc", …), building them once per test
// process. UPKEEP_BIN names a directory to take them from instead.
func Bin(t testing.TB, name string) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// Eventually waits until cond holds and fails the test if it never does.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// A Process is a program that ends with its test. Its output is kept.
type Process struct {
	*exec.Cmd
	out  lockedBuffer
	done chan struct{}
	t    testing.TB
}

// Start starts cmd in a process group of its own. At the end of the test a process that still runs
// gets stop first, so that a supervisor takes its services down, and KILL if that was in vain.
func Start(t testing.TB, stop syscall.Signal, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Cmd: cmd, done: make(chan struct{}), t: t}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.out
	}
	// A grandchild that keeps our pipe must not keep Wait.
	cmd.WaitDelay = 2 * time.Second
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		select {
		case <-p.done:
			return
		default:
		}
		cmd.Process.Signal(stop)
		cmd.Process.Signal(syscall.SIGCONT)
		select {
		case <-p.done:
		case <-time.After(Patience):
			cmd.Process.Kill()
			<-p.done
			t.Errorf("%v did not end on %v; its output:\n%s", cmd.Args, stop, p.Output())
		}
		if t.Failed() {
			t.Logf("output of %v:\n%s", cmd.Args, p.Output())
		}
	})
	return p
}

// Output returns what the process has written so far.
func (p *Process) Output() string { return p.out.String() }

// Wait waits until the process has ended and returns its exit code, or 128 and the signal's number.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(Patience):
		p.t.Fatalf("%v did not end; its output:\n%s", p.Args, p.Output())
	}
	ws := p.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// Running tells whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Run runs a command to its end and returns its output, both streams together, and exit code.
func Run(t testing.TB, name string, args ...string) (string, int) {
	t.Helper()
	return RunCmd(t, exec.Command(name, args...))
}

// RunCmd is Run for a command that needs a directory or an environment.
func RunCmd(t testing.TB, cmd *exec.Cmd) (string, int) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return string(out), 128 + int(ws.Signal())
	}
	return string(out), ws.ExitStatus()
}

// WriteFile writes a file below dir with its mode, making the directories above it.
func WriteFile(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// A child that another test is about to start would have the file open for writing until it executes its program,
	// and for so long nobody could execute the file.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// Not by its name: whom the file is for may have removed it.
	if err := file.Chmod(mode); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// UniqueName begins with a word and is no other test's, in whatever PID namespace that runs.
func UniqueName(word string) string { return fmt.Sprintf("%s%08x", word, rand.Uint32()) }
