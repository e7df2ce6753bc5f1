// Package clients_test compares our svc, svstat and svok with daemontools' own, on services that
// daemontools' supervise runs and on what a test lays out on disk.
package clients_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// result is what a command did, as its caller sees it.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout %q\nstderr %q", r.code, r.stdout, r.stderr)
}

// command runs the program path in dir, with extra variables.
func command(t *testing.T, dir string, env []string, path string, args ...string) result {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatalf("%s: %v", path, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// compare runs daemontools' program and ours of the same name and wants the same of both. What tells
// the time may change while they run: then they run again.
func compare(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	theirs := harness.Need(t, name)[0]
	for {
		before := command(t, dir, nil, theirs, args...)
		got := command(t, dir, nil, harness.Bin(t, name), args...)
		if after := command(t, dir, nil, theirs, args...); after != before {
			continue
		}
		if got != before {
			t.Errorf("%s %q: ours:\n%v\ndaemontools':\n%v", name, args, got, before)
		}
		return
	}
}

// A service is one that daemontools' supervise runs.
type service struct {
	t    *testing.T
	root string
	name string
}

// supervise makes a service directory and runs daemontools' supervise on it until the test ends.
func supervise(t *testing.T, root, name, run string, down bool) service {
	t.Helper()
	s := service{t, root, name}
	dir := filepath.Join(root, name)
	harness.WriteFile(t, filepath.Join(dir, "run"), "#!/bin/sh\n"+run, 0o755)
	if down {
		harness.WriteFile(t, filepath.Join(dir, "down"), "", 0o644)
	}
	cmd := exec.Command(harness.Need(t, "supervise")[0], name)
	cmd.Dir = root
	p := harness.Start(t, syscall.SIGTERM, cmd)
	t.Cleanup(func() {
		if p.Running() {
			s.send("dxk") // a TERM to supervise itself would leave its service behind
			p.Wait()
		}
	})
	harness.Eventually(t, name+" is supervised", func() bool {
		return command(t, root, nil, harness.Need(t, "svok")[0], name).code == 0
	})
	return s
}

// send writes commands as svc does. A supervise that has just ended has no use for them.
func (s service) send(commands string) {
	s.t.Helper()
	f, err := os.OpenFile(filepath.Join(s.root, s.name, "supervise", "control"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if _, err := f.WriteString(commands); err != nil {
		s.t.Error(err)
	}
}

// until waits for a state that daemontools' svstat shows.
func (s service) until(substring string) {
	s.t.Helper()
	harness.Eventually(s.t, s.name+" is "+substring, func() bool {
		out := command(s.t, s.root, nil, harness.Need(s.t, "svstat")[0], s.name).stdout
		return strings.Contains(out, substring)
	})
}

const sleeper = "exec sleep 1000\n"

// TestStates looks at services in every state that daemontools' supervise can be brought into.
func TestStates(t *testing.T) {
	harness.Need(t, "supervise", "svc", "svok", "svstat")
	root := t.TempDir()
	var names []string
	start := func(name, run string, down bool) service {
		names = append(names, name)
		return supervise(t, root, name, run, down)
	}
	start("up", sleeper, false)
	start("never up", sleeper, true)
	stopped := start("stopped", sleeper, false)
	raised := start("nörmally down ✓", sleeper, true)
	paused := start("paused", sleeper, false)
	once := start("once", sleeper, false)
	finished := start("finished", "exec true\n", true)
	unwilling := start("unwilling", "trap '' TERM\n"+sleeper, false)
	ended := start("ended", sleeper, true)
	start("-dash", sleeper, false)

	stopped.send("d")
	raised.send("u")
	paused.send("p")
	once.send("o")
	finished.send("o")
	unwilling.send("d")
	ended.send("x")
	stopped.until("down")
	raised.until("normally down")
	paused.until("paused")
	finished.until("down")
	unwilling.until("want down")
	ended.until("not running")
	harness.Eventually(t, "once is not wanted up", func() bool {
		b, err := os.ReadFile(filepath.Join(root, "once", "supervise", "status"))
		return err == nil && b[17] == 0
	})

	if err := os.Mkdir(filepath.Join(root, "never supervised"), 0o755); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(root, "file"), "", 0o644)
	harness.WriteFile(t, filepath.Join(root, "odd", "supervise"), "", 0o644)
	for name, target := range map[string]string{"link": "up", "loop": "loop", "dangling": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("down", filepath.Join(root, "odd", "down")); err != nil {
		t.Fatal(err)
	}
	names = append(names, "never supervised", "file", "odd", "link", "loop", "dangling", "missing", "",
		"up/", "./up", filepath.Join(root, "up"), "up/supervise", strings.Repeat("n", 256), strings.Repeat("d/", 2100))

	var operands []string
	for _, name := range names {
		if name != "odd" { // there our svok names the file as daemontools-encore does
			compare(t, root, "svok", name)
		}
		if strings.HasPrefix(name, "-") { // an option to ours and to daemontools-encore
			continue
		}
		compare(t, root, "svstat", name)
		operands = append(operands, name)
	}
	compare(t, root, "svstat", operands...)
	compare(t, root, "svok", "up", "missing")
	compare(t, root, "svok", "missing", "up")
	compare(t, root, "svok")
	if got := command(t, root, nil, harness.Bin(t, "svok"), "odd"); got.code != 111 ||
		got.stderr != "svok: fatal: unable to open supervise/ok: not a directory\n" {
		t.Errorf("svok odd: %v", got)
	}

	unreachable := []string{"ended", "never supervised", "file", "odd", "loop", "dangling", "missing", ""}
	for _, options := range [][]string{nil, {"-u"}, {"-d", "-x"}, {"-udopchaitkx"}, {"-u", "--"}} {
		compare(t, root, "svc", options...)
		compare(t, root, "svc", append(options, unreachable...)...)
		for _, name := range unreachable {
			compare(t, root, "svc", append(options, name)...)
		}
	}
	compare(t, root, "svc", "-")
	compare(t, root, "svc", "-c", "--", "-dash", "nörmally down ✓", "missing", "never up")
}

// What our commands send arrives: daemontools' supervise acts on it.
func TestSvcActs(t *testing.T) {
	harness.Need(t, "supervise", "svok", "svstat")
	root := t.TempDir()
	s := supervise(t, root, "a", sleeper, true)
	for _, step := range []struct{ options, state string }{
		{"-u", "up (pid"}, {"-p", "paused"}, {"-dc", "down "}, {"-o", "up (pid"}, {"-dx", "not running"},
	} {
		if got := command(t, root, nil, harness.Bin(t, "svc"), step.options, "a"); got != (result{}) {
			t.Errorf("svc %s: %v", step.options, got)
		}
		s.until(step.state)
	}
}

// Where the caller's directory is gone, daemontools' clients still work on absolute names.
func TestRemovedWorkingDirectory(t *testing.T) {
	harness.Need(t, "supervise", "svc", "svok", "svstat")
	root := t.TempDir()
	supervise(t, root, "a", sleeper, false)
	script := `cd "$1" && rmdir "$1" && exec "$2" $3 "$4"`
	for _, c := range []struct{ name, options string }{{"svc", "-c"}, {"svok", ""}, {"svstat", ""}} {
		for _, program := range []string{harness.Need(t, c.name)[0], harness.Bin(t, c.name)} {
			gone := t.TempDir()
			got := command(t, root, nil, "/bin/sh", "-c", script, "sh", gone, program, c.options, filepath.Join(root, "a"))
			if got.code != 0 || got.stderr != "" {
				t.Errorf("%s: %v", program, got)
			}
		}
	}
}
