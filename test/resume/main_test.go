// Package resume_test observes what becomes of services when the daemon is killed, panics or is replaced.
package resume_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

func TestMain(m *testing.M) {
	rig.Apart(m, map[string]func([]string){"init": initHelper, "killat": killAt, "holdfork": holdFork, "say": say})
}

// initHelper mounts the /proc of new PID and mount namespaces and executes its arguments.
func initHelper(args []string) {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err == nil {
		err = unix.Mount("proc", "/proc", "proc", 0, "")
	}
	if err == nil {
		err = syscall.Exec(args[0], args, os.Environ())
	}
	fmt.Fprintln(os.Stderr, args[0], err)
	os.Exit(99)
}

// A house is a root and the daemons on it, one after another.
type house struct {
	*rig.Upkeep
	t       *testing.T
	top     string
	root    string
	program string   // the daemon's
	options []string // of the daemon
	command []string // the main command
	pid1    bool     // the daemon is PID 1 of a namespace
	group   string   // the cgroup in which it is started, or ""
}

func newHouse(t *testing.T, options ...string) *house {
	t.Helper()
	t.Parallel()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	name := harness.UniqueName("resume")
	h := &house{t: t, top: top, root: filepath.Join(top, name), program: harness.Bin(t, "upkeep"), options: options}
	if err := os.Mkdir(h.root, 0o755); err != nil {
		t.Fatal(err)
	}
	h.group = rig.OwnGroup()
	if h.group != "" {
		t.Cleanup(func() { endGroups(t, h.group, "upkeep-"+name+"-*") })
	}
	return h
}

// endGroups kills what is left in the cgroups of a daemon that was killed, and removes them.
func endGroups(t *testing.T, below, pattern string) {
	dirs, _ := filepath.Glob(filepath.Join(below, pattern))
	for _, dir := range dirs {
		os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
		harness.Eventually(t, dir+" is removed", func() bool {
			subs, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
			more, _ := filepath.Glob(filepath.Join(dir, "*"))
			for _, sub := range append(subs, append(more, dir)...) {
				unix.Rmdir(sub)
			}
			_, err := os.Stat(dir)
			return os.IsNotExist(err)
		})
	}
}

// open starts a daemon, where the one before it was; wrap is a command that is to execute it.
func (h *house) open(wrap ...string) {
	h.t.Helper()
	argv := append(append(wrap, h.program, "--stop-timeout=2s"), h.options...)
	argv = append(argv, h.root)
	if h.command != nil {
		argv = append(append(argv, "--"), h.command...)
	}
	attr := &syscall.SysProcAttr{Setpgid: true}
	if h.pid1 {
		argv = append(rig.Helper(h.t, "init"), argv...)
		attr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
		harness.NeedRoot(h.t)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = attr
	if h.group != "" {
		g, err := os.Open(h.group)
		if err != nil {
			h.t.Fatal(err)
		}
		defer g.Close()
		attr.UseCgroupFD, attr.CgroupFD = true, int(g.Fd())
	}
	h.Upkeep = rig.Start(h.t, cmd)
}

// kill ends the daemon as nothing can prevent.
func (h *house) kill() {
	h.t.Helper()
	h.Process.Process.Kill()
	if code := h.Wait(); code != 128+9 {
		h.t.Fatalf("the daemon had ended with %d before it was killed", code)
	}
}

// again kills the daemon and starts another one.
func (h *house) again() {
	h.t.Helper()
	h.kill()
	h.open()
}

// ends stops the daemon, and with it every service.
func (h *house) ends(code int) {
	h.t.Helper()
	if got := h.Stop(syscall.SIGTERM, harness.Patience); got != code {
		h.t.Errorf("exit code %d on TERM, want %d", got, code)
	}
}

func sh(lines ...string) string { return "#!/bin/sh\n" + strings.Join(lines, "\n") + "\n" }

// long is the end of a script that runs until a signal ends it.
const long = "exec sleep 1000000"

// A service is seen from outside. It keeps in its file starts the pids with which it was started.
type service struct {
	t   *testing.T
	h   *house
	dir string
}

// service makes one. files are names and contents.
func (h *house) service(name, script string, files ...string) *service {
	h.t.Helper()
	return &service{h.t, h, rig.Service(h.t, h.root, name, sh("echo $$ >>starts", script), files...)}
}

// logger gives a service a logger whose log is beside the root.
func (s *service) logger() (log string) {
	s.t.Helper()
	log = filepath.Join(s.h.top, filepath.Base(s.dir)+".log")
	harness.WriteFile(s.t, filepath.Join(s.dir, "log", "run"), sh("echo $$ >>starts", "exec cat >>"+log), 0o755)
	return log
}

func (s *service) name() string { return filepath.Base(s.dir) }

func (s *service) super() string {
	for _, o := range s.h.options {
		if state, ok := strings.CutPrefix(o, "--state="); ok {
			return filepath.Join(state, s.name(), "supervise")
		}
	}
	return filepath.Join(s.dir, "supervise")
}

// clients is the directory that clients are given.
func (s *service) clients() string { return filepath.Dir(s.super()) }

// starts is how often it was started.
func (s *service) starts() int { return strings.Count(read(filepath.Join(s.dir, "starts")), "\n") }

// up waits until it runs and returns its pid, as the daemon says.
func (s *service) up() int { return rig.Up(s.t, s.clients()) }

// begun waits until it runs and its script has begun; then returns its pid as it says itself.
func (s *service) begun() int {
	s.t.Helper()
	pid := 0
	harness.Eventually(s.t, s.name()+" has begun", func() bool {
		st, ok := rig.StatusOf(s.super())
		f := strings.Fields(read(filepath.Join(s.dir, "starts")))
		if !ok || st.Pid == 0 || len(f) == 0 {
			return false
		}
		pid = atoi(f[len(f)-1])
		return s.h.pid1 || pid == st.Pid
	})
	return pid
}

func (s *service) svc(letters string) { s.t.Helper(); rig.Svc(s.t, letters, s.clients()) }

// info is what supervise/resume says.
func (s *service) info() fsstate.Info {
	b, _ := os.ReadFile(filepath.Join(s.super(), "resume"))
	i, _ := fsstate.ParseInfo(b)
	return i
}

// phase waits for it.
func (s *service) phase(phase string) {
	s.t.Helper()
	harness.Eventually(s.t, s.name()+" is in the phase "+phase, func() bool { return s.info().Phase == phase })
}

// supervised waits until a daemon listens.
func (s *service) supervised() {
	s.t.Helper()
	harness.Eventually(s.t, s.name()+" is supervised", func() bool {
		return exec.Command(harness.Bin(s.t, "svok"), s.clients()).Run() == nil
	})
}

// label is since when it is up or down, as the status has it.
func (s *service) label() string {
	b, _ := os.ReadFile(filepath.Join(s.super(), "status"))
	return string(b[:min(len(b), 12)])
}

// A view is what svstat --json says.
type view struct {
	Supervised *bool
	Up         *bool
	Pid        int
	Phase      string
	Paused     bool
	Want       string
}

func (s *service) view() view {
	s.t.Helper()
	var list []view
	out := rig.Client(s.t, "svstat", "--json", s.clients())
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		s.t.Fatalf("svstat --json: %v: %s", err, out)
	}
	return list[0]
}

// same fails the test unless the service runs on with the pid that it had, under a daemon that hears of it.
func (s *service) same(pid, starts int) {
	s.t.Helper()
	s.supervised()
	if got := s.up(); got != pid || s.starts() != starts {
		s.t.Errorf("%s has pid %d and %d starts, had %d and %d", s.name(), got, s.starts(), pid, starts)
	}
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("kill %d %v: %v", pid, sig, err)
	}
}

func dies(t *testing.T, pid int) {
	t.Helper()
	harness.Eventually(t, fmt.Sprintf("process %d has ended", pid), func() bool { return !rig.Alive(pid) })
}

// stranger starts a process that is none of upkeep's.
func stranger(t *testing.T) *harness.Process {
	t.Helper()
	return harness.Start(t, syscall.SIGKILL, exec.Command("sleep", "1000000"))
}

func read(path string) string { b, _ := os.ReadFile(path); return string(b) }

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

func write(t *testing.T, path, text string) { t.Helper(); harness.WriteFile(t, path, text, 0o644) }

// contiguous fails the test unless the lines of a log are 1, 2, 3 and so on, and returns the last.
func contiguous(t *testing.T, log string) (n int) {
	t.Helper()
	for line := range strings.Lines(read(log)) {
		if !strings.HasSuffix(line, "\n") {
			break // half written
		}
		if n++; line != strconv.Itoa(n)+"\n" {
			t.Fatalf("line %d of the log is %q", n, line)
		}
	}
	return n
}

// breakable is a daemon that can be told to panic, built once.
var breakable = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "upkeep-breakable-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "upkeep")
	cmd := exec.Command("go", "build", "-tags", "failpoint", "-o", path, "upkeep")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return path, nil
})
