// Package order_test tests in which order upkeep starts and stops services that wait for each other.
package order_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// A root is one with services that write what becomes of them to one file.
type root struct {
	t    *testing.T
	dir  string
	told string
}

func newRoot(t *testing.T) root {
	dir := t.TempDir()
	return root{t, filepath.Join(dir, "root"), filepath.Join(dir, "told")}
}

// service makes one that writes its name when it starts, does what is given, and writes -NAME after a TERM.
func (r root) service(name, then string, files ...string) {
	r.t.Helper()
	script := "#!/bin/sh\ntrap 'echo -" + name + " >> " + r.told + "; exit 0' TERM\necho " + name + " >> " + r.told + "\n" + then +
		"\nwhile :; do sleep 1 & wait $!; done\n"
	harness.WriteFile(r.t, filepath.Join(r.dir, name, "run"), script, 0o755)
	for _, f := range files {
		file, text, _ := strings.Cut(f, "=")
		harness.WriteFile(r.t, filepath.Join(r.dir, name, file), text, 0o644)
	}
}

func (r root) start() *harness.Process {
	return harness.Start(r.t, syscall.SIGTERM, exec.Command(harness.Bin(r.t, "upkeep"), r.dir))
}

// tells waits until that is what the services have written.
func (r root) tells(want string) {
	r.t.Helper()
	got := ""
	defer func() {
		if got != want {
			r.t.Logf("they have written %s", got)
		}
	}()
	harness.Eventually(r.t, "they have written "+want, func() bool {
		text, _ := os.ReadFile(r.told)
		got = strings.Join(strings.Fields(string(text)), " ")
		return got == want
	})
}

// TestAfter: a service comes after another one is ready, if that says when it is, and ends before it.
func TestAfter(t *testing.T) {
	r := newRoot(t)
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	r.service("a-web", "", "after=m-mid\n")
	r.service("m-mid", "", "after=z-db\n")
	r.service("z-db", "read line < "+gate+"; echo up >> "+r.told+"; echo >&3", "notification-fd=3\n")
	p := r.start()
	r.tells("z-db")
	f, err := os.OpenFile(gate, os.O_WRONLY, 0) // blocks until it is read
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("\n")
	f.Close()
	r.tells("z-db up m-mid a-web")
	p.Process.Signal(syscall.SIGTERM)
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.Output())
	}
	r.tells("z-db up m-mid a-web -a-web -m-mid -z-db")
}

// TestCycle: services that wait for each other are started in the order of their names, and it is said.
func TestCycle(t *testing.T) {
	r := newRoot(t)
	r.service("a", "", "after=b\n")
	r.service("b", "", "after=a\n")
	r.service("c", "", "trigger=supervise/status\n")
	p := r.start()
	harness.Eventually(t, "all have started", func() bool {
		text, _ := os.ReadFile(r.told)
		words := " " + strings.Join(strings.Fields(string(text)), " ") + " "
		return strings.Contains(words, " a b ") && strings.Contains(words, " c ") || strings.Contains(words, " a c b ")
	})
	p.Process.Signal(syscall.SIGTERM)
	p.Wait()
	for _, cycle := range []string{"a waits for b, b for a", "c waits for c"} {
		if n := strings.Count(p.Output(), cycle+": a cycle"); n != 1 {
			t.Errorf("%q was said %d times: %s", cycle, n, p.Output())
		}
	}
}
