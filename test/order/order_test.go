// Package order_test tests in which order upkeep starts and stops services that wait for each other.
package order_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// tells waits until one of these is what the services have written, and returns it.
func (r root) tells(want ...string) (got string) {
	r.t.Helper()
	defer func() {
		if !slices.Contains(want, got) {
			r.t.Logf("they have written %s", got)
		}
	}()
	harness.Eventually(r.t, "they have written "+strings.Join(want, " or "), func() bool {
		text, _ := os.ReadFile(r.told)
		got = strings.Join(strings.Fields(string(text)), " ")
		return slices.Contains(want, got)
	})
	return got
}

// before fails the test unless one service was started before another one. What they write does not tell: who was
// started first may be the last to run.
func (r root) before(first, second string) {
	r.t.Helper()
	since := func(name string) (label string) { // of the start
		harness.Eventually(r.t, "it is recorded that "+name+" runs", func() bool {
			b, _ := os.ReadFile(filepath.Join(r.dir, name, "supervise", "status"))
			up := len(b) >= 16 && string(b[12:16]) != "\x00\x00\x00\x00"
			if up {
				label = string(b[:12])
			}
			return up
		})
		return label
	}
	if since(first) >= since(second) {
		r.t.Errorf("%s was not started before %s", first, second)
	}
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
	started := r.tells("z-db up m-mid a-web", "z-db up a-web m-mid")
	r.before("m-mid", "a-web")
	p.Process.Signal(syscall.SIGTERM)
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.Output())
	}
	r.tells(started + " -a-web -m-mid -z-db")
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
		words := strings.Fields(string(text))
		slices.Sort(words)
		return slices.Equal(words, []string{"a", "b", "c"})
	})
	r.before("a", "b")
	p.Process.Signal(syscall.SIGTERM)
	p.Wait()
	for _, cycle := range []string{"a waits for b, b for a", "c waits for c"} {
		if n := strings.Count(p.Output(), cycle+": a cycle"); n != 1 {
			t.Errorf("%q was said %d times: %s", cycle, n, p.Output())
		}
	}
}
