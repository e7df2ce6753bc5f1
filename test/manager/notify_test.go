package manager_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// TestLife follows a daemon from its start to its stop.
func TestLife(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	var dirs []string
	for i := range 20 {
		dirs = append(dirs, rig.Service(t, root, fmt.Sprintf("web%02d", i), rig.Sleeper))
	}
	rig.Service(t, root, "down", rig.Sleeper, "down", "")
	rig.Service(t, root, "broken", "no script\n", "run.txt", "")
	m := newManager(t)
	u := m.start(nil, "upkeep", root)

	m.line("READY=1")
	if n := children(t, u); n < len(dirs) { // not some time later
		t.Errorf("it is ready with %d services of %d", n, len(dirs))
	}
	if want := status(22, 20); m.told[len(m.told)-1] != want {
		t.Errorf("told %q, want last %s", m.told, want)
	}

	rig.Svc(t, "d", dirs[0])
	m.line(status(22, 19))
	rig.Svc(t, "u", dirs[0])
	m.line(status(22, 20))

	rig.Service(t, root, "late", rig.Sleeper)
	m.line(status(23, 21))
	signal(t, u, syscall.SIGHUP)
	m.line("RELOADING=1")
	at := m.told[len(m.told)-1]
	if usec, err := strconv.ParseInt(strings.TrimPrefix(at, "MONOTONIC_USEC="), 10, 64); err != nil || usec <= 0 {
		t.Errorf("told %q with RELOADING", at)
	}
	m.line("READY=1")

	if n := m.heard("READY=1"); n != 2 {
		t.Errorf("READY was told %d times: %q", n, m.told)
	}
	if code := u.Stop(syscall.SIGTERM, harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	last := m.rest()
	if n := slices.Index(last, "STOPPING=1"); n < 0 || slices.Contains(last[n:], "READY=1") {
		t.Errorf("at the end %q", last)
	}
}

// TestReloadFinds: READY after HUP comes when the services that the scan has found are started.
func TestReloadFinds(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	m := newManager(t)
	u := m.start(nil, "upkeep", root)
	m.line("READY=1")
	for i := range 20 {
		rig.Service(t, root, fmt.Sprint("web", i), rig.Sleeper)
		signal(t, u, syscall.SIGHUP)
		m.line("RELOADING=1")
		m.line("READY=1")
		if n := children(t, u); n < i+1 {
			t.Errorf("it is ready again with %d services of %d", n, i+1)
		}
	}
}

// TestEnvironment: what the manager says to the daemon is not passed on.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	root, dir := t.TempDir(), t.TempDir()
	said := filepath.Join(dir, "service")
	rig.Service(t, root, "web", sh("env >"+said+".new", "mv "+said+".new "+said, "exec sleep 1000000"))
	m := newManager(t)
	command := filepath.Join(dir, "command")
	u := m.start([]string{"WATCHDOG_USEC=60000000", "WATCHDOG_PID=1", "KEPT=yes"}, "upkeep", root, "--",
		"/bin/sh", "-c", "env >"+command+".new; mv "+command+".new "+command+"; exec sleep 1000000")
	for _, file := range []string{said, command} {
		harness.Eventually(t, file+" is written", func() bool { _, err := os.Stat(file); return err == nil })
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kept := false
		for line := range strings.Lines(string(text)) {
			name, _, _ := strings.Cut(line, "=")
			if name == "NOTIFY_SOCKET" || name == "WATCHDOG_USEC" || name == "WATCHDOG_PID" {
				t.Errorf("%s has %s", filepath.Base(file), line)
			}
			kept = kept || line == "KEPT=yes\n"
		}
		if !kept {
			t.Errorf("%s has lost the rest of the environment:\n%s", filepath.Base(file), text)
		}
	}
	m.line("READY=1")
	u.Stop(syscall.SIGTERM, harness.Patience)
	m.rest()
	if n := m.heard("WATCHDOG"); n != 0 {
		t.Errorf("%d signs of life of a process that is not watched", n)
	}
}

func TestWatchdog(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	u := m.start([]string{"WATCHDOG_USEC=200000"}, "upkeep", t.TempDir())
	for range 5 {
		m.line("WATCHDOG=1")
	}
	// A daemon that does not turn gives no sign.
	signal(t, u, syscall.SIGSTOP)
	harness.Eventually(t, "it is stopped", func() bool { return stopped(u.Pid()) })
	m.rest()
	if lines, err := m.next(4 * 200e6); err == nil {
		t.Errorf("told while it was stopped: %q", lines)
	}
	signal(t, u, syscall.SIGCONT)
	m.line("WATCHDOG=1")
}

// stopped tells whether every thread of a process is stopped.
func stopped(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, task := range tasks {
		stat, _ := os.ReadFile(task)
		if _, state, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return len(tasks) > 0
}

// TestAbstractName: containers' managers give a name that is in no file system.
func TestAbstractName(t *testing.T) {
	t.Parallel()
	m := listen(t, "@upkeep-test-"+strings.ReplaceAll(t.TempDir(), "/", "-"))
	u := m.start(nil, "upkeep", t.TempDir())
	m.line("READY=1")
	signal(t, u, syscall.SIGTERM)
	m.line("STOPPING=1")
}

// TestNobodyListens: a manager that is not there, or that is no manager, is mentioned and does no harm.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	harness.WriteFile(t, filepath.Join(dir, "file"), "", 0o644)
	for name, socket := range map[string]string{
		"absent": filepath.Join(dir, "absent"), "file": filepath.Join(dir, "file"), "number": "12",
		"long": "/" + strings.Repeat("x", 200), "network": "vsock:2:1234",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			web := rig.Service(t, root, "web", rig.Sleeper)
			m := &manager{t: t, name: socket}
			u := m.start([]string{"WATCHDOG_USEC=100000"}, "upkeep", root)
			old := rig.Up(t, web)
			for range 3 {
				signal(t, u, syscall.SIGHUP)
				rig.Svc(t, "t", web)
				old = rig.NewPid(t, web, old)
			}
			if code := u.Stop(syscall.SIGTERM, harness.Patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if n := strings.Count(u.Output(), "NOTIFY_SOCKET"); n != 1 {
				t.Errorf("it was said %d times:\n%s", n, u.Output())
			}
		})
	}
}

// TestFullSocket: a manager that does not read is not waited for, and is told the important things when
// it reads again.
func TestFullSocket(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	for out := fill(t, m.name); out.send() == nil; {
	}
	root := t.TempDir()
	web := rig.Service(t, root, "web", rig.Sleeper)
	u := m.start(nil, "upkeep", root)
	old := rig.Up(t, web)
	rig.Svc(t, "t", web)
	rig.NewPid(t, web, old)
	harness.Eventually(t, "it is said", func() bool { return strings.Contains(u.Output(), "trying again") })
	m.line("READY=1")
	signal(t, u, syscall.SIGHUP)
	m.line("RELOADING=1")
	m.line("READY=1")
	if n := strings.Count(u.Output(), "NOTIFY_SOCKET"); n != 1 {
		t.Errorf("it was said %d times:\n%s", n, u.Output())
	}
}

// A filler fills a socket.
type filler struct {
	fd int
	to syscall.Sockaddr
}

func fill(t *testing.T, name string) filler {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	return filler{fd, &syscall.SockaddrUnix{Name: name}}
}

func (f filler) send() error { return syscall.Sendto(f.fd, []byte("FILL=1"), 0, f.to) }

// TestManagerThatLeaves: one that only waits for READY, as some do, is no reason for a warning.
func TestManagerThatLeaves(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	web := rig.Service(t, root, "web", rig.Sleeper)
	m := newManager(t)
	u := m.start(nil, "upkeep", root)
	m.line("READY=1")
	m.conn.Close()
	signal(t, u, syscall.SIGHUP)
	rig.Svc(t, "d", web)
	rig.Down(t, web)
	if code := u.Stop(syscall.SIGTERM, harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if out := u.Output(); out != "" {
		t.Errorf("it said\n%s", out)
	}
}

func TestSupervise(t *testing.T) {
	t.Parallel()
	said := filepath.Join(t.TempDir(), "said")
	web := rig.Service(t, t.TempDir(), "web", sh("env >"+said+".new", "mv "+said+".new "+said, "exec sleep 1000000"))
	m := newManager(t)
	u := m.start([]string{"WATCHDOG_USEC=200000"}, "supervise", web)
	m.line("READY=1")
	if n := children(t, u); n != 1 {
		t.Errorf("it is ready with %d children", n)
	}
	m.line("WATCHDOG=1")
	harness.Eventually(t, "it has run", func() bool { _, err := os.Stat(said); return err == nil })
	if text, err := os.ReadFile(said); err != nil || strings.Contains(string(text), "NOTIFY_SOCKET") {
		t.Errorf("its environment is\n%s\n%v", text, err)
	}
	rig.Svc(t, "d", web)
	m.line("STATUS=down")
	signal(t, u, syscall.SIGTERM)
	m.line("STOPPING=1")
	if code := u.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestRootAway: the status says so, and a reload ends all the same.
func TestRootAway(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	rig.Service(t, root, "web", rig.Sleeper)
	m := newManager(t)
	u := m.start(nil, "upkeep", root)
	m.line("READY=1")
	if err := os.Rename(root, root+".away"); err != nil {
		t.Fatal(err)
	}
	m.line("STATUS=cannot read the root; 1 service, 1 up, 0 down")
	signal(t, u, syscall.SIGHUP)
	m.line("RELOADING=1")
	m.line("READY=1")
	if err := os.Rename(root+".away", root); err != nil {
		t.Fatal(err)
	}
	m.line("STATUS=1 service, 1 up, 0 down")
}
