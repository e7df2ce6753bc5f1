package conformance_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"upkeep/test/harness"
)

// A house is a directory with a root, the services that are linked into it, and the peer that keeps them.
type house struct {
	t       testing.TB
	peer    peer
	base    string
	root    string
	wrap    []string           // words before the daemon's command
	daemon  *harness.Process   // on the root
	daemons []*harness.Process // this one and those on single services
}

// newHouse makes a house that can be reached by every user and that is empty of processes in the end.
func newHouse(t testing.TB, p peer) *house {
	t.Helper()
	base, err := os.MkdirTemp("", "conformance")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, peer: p, base: base, root: filepath.Join(base, "root")}
	if err := os.Mkdir(h.root, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the daemon of %s said:\n%s", p.name, h.said())
		}
		h.vacate()
		os.RemoveAll(base)
	})
	return h
}

// environment is what every daemon gets, and so every service.
var environment = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/", "COLOUR=green and blue", "EMPTY="}

// start runs a command of the peer with its output in the house's file "said".
func (h *house) start(cmd *exec.Cmd) *harness.Process {
	h.t.Helper()
	if h.wrap != nil {
		cmd = exec.Command(h.wrap[0], append(slices.Clone(h.wrap[1:]), cmd.Args...)...)
	}
	said, err := os.OpenFile(filepath.Join(h.base, "said"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		h.t.Fatal(err)
	}
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	cmd.Env = environment
	cmd.Dir = h.base
	// A session of its own: where it is only a group, the end of its leader orphans the group, and a
	// paused service in it makes the kernel send HUP to all of them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p := harness.Start(h.t, syscall.SIGTERM, cmd)
	h.daemons = append(h.daemons, p)
	h.t.Cleanup(h.vacate) // before harness.Start's own
	return p
}

// open starts the daemon on the root.
func (h *house) open() {
	h.t.Helper()
	h.daemon = h.start(h.peer.scan(h.t, h.root))
}

// casualties tells of daemons that aren't there any more or don't work.
func (h *house) casualties() (text string) {
	for _, d := range h.daemons {
		if !d.Running() {
			text += fmt.Sprintf("; %v has ended", d.Args)
		} else if state := processState(d.Process.Pid); state != 'S' {
			text += fmt.Sprintf("; %v is in state %c", d.Args, state)
		}
	}
	return text
}

// said returns what the daemon and its services have written.
func (h *house) said() string {
	b, _ := os.ReadFile(filepath.Join(h.base, "said"))
	return string(b)
}

// vacate ends the daemon, every supervisor and every service of the house.
func (h *house) vacate() {
	if h.daemon != nil && h.daemon.Running() { // not a supervise of daemontools, which TERM takes from its service
		h.daemon.Process.Signal(syscall.SIGTERM)
		h.daemon.Process.Signal(syscall.SIGCONT)
	}
	var left []int
	for end := time.Now().Add(harness.Patience); ; time.Sleep(20 * time.Millisecond) {
		supervised := 0
		filepath.WalkDir(h.base, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Name() == "control" && e.Type() == fs.ModeNamedPipe && tell(path, "dxk") == nil {
				supervised++
			}
			return nil
		})
		left = h.residents()
		if supervised == 0 && len(left) == 0 && !slices.ContainsFunc(h.daemons, (*harness.Process).Running) {
			return
		}
		if time.Now().After(end) {
			break
		}
	}
	for _, pid := range left {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		h.t.Errorf("process %d (%q in %s, %c) was left behind by %s", pid, line, cwd, processState(pid), h.peer.name)
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// residents lists the processes that work in a directory of the house.
func (h *house) residents() []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		cwd, _ := os.Readlink("/proc/" + e.Name() + "/cwd")
		if strings.HasPrefix(cwd, h.base+"/") && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// A service is a service directory seen from outside.
type service struct {
	h    *house
	name string
	dir  string
}

// service makes a directory whose ./run is the test binary and links it into the root.
func (h *house) service(name, behaviour string) *service {
	h.t.Helper()
	s := h.bare(name)
	s.become(behaviour)
	h.list(s)
	return s
}

// script is service with a ./run of its own.
func (h *house) script(name, run string) *service {
	h.t.Helper()
	s := h.bare(name)
	harness.WriteFile(h.t, filepath.Join(s.dir, "run"), run, 0o755)
	h.list(s)
	return s
}

// bare makes a directory that is neither listed nor has a ./run.
func (h *house) bare(name string) *service {
	h.t.Helper()
	s := h.at("services/" + name)
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	return s
}

// at is the service in a directory below the house.
func (h *house) at(path string) *service {
	return &service{h, filepath.Base(path), filepath.Join(h.base, path)}
}

func (h *house) list(s *service) {
	h.t.Helper()
	if err := os.Symlink(s.dir, filepath.Join(h.root, s.name)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) unlist(s *service) {
	h.t.Helper()
	if err := os.Remove(filepath.Join(h.root, s.name)); err != nil {
		h.t.Fatal(err)
	}
}

// become makes the test binary the service's ./run, at one stroke.
func (s *service) become(behaviour string) {
	s.h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.h.t.Fatal(err)
	}
	harness.WriteFile(s.h.t, filepath.Join(s.dir, "behaviour"), behaviour, 0o644)
	next := filepath.Join(s.dir, "run.new")
	if err := os.Symlink(self, next); err != nil {
		s.h.t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(s.dir, "run")); err != nil {
		s.h.t.Fatal(err)
	}
}

func (s *service) touch(name string) {
	s.h.t.Helper()
	harness.WriteFile(s.h.t, filepath.Join(s.dir, name), "", 0o644)
}

func (s *service) remove(name string) {
	s.h.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		s.h.t.Fatal(err)
	}
}

// heard returns the signals that the service has noted, in alphabetical order, how often it was
// started, and the pid of the last start.
func (s *service) heard() (signals []string, starts, pid int) {
	f, err := os.Open(filepath.Join(s.dir, "heard"))
	if err != nil {
		return nil, 0, 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if last, ok := strings.CutPrefix(lines.Text(), "start "); ok {
			starts++
			pid, _ = strconv.Atoi(last)
			continue
		}
		signals = append(signals, lines.Text())
	}
	slices.Sort(signals)
	return signals, starts, pid
}

func (s *service) starts() int {
	_, n, _ := s.heard()
	return n
}

func (s *service) pid() int {
	_, _, pid := s.heard()
	return pid
}

// supervised tells what svok tells.
func (s *service) supervised() bool {
	fd, err := syscall.Open(filepath.Join(s.dir, "supervise/ok"), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	syscall.Close(fd)
	return true
}

func (s *service) status() []byte {
	b, _ := os.ReadFile(filepath.Join(s.dir, "supervise/status"))
	return b
}

func statusPid(status []byte) int { return int(binary.LittleEndian.Uint32(status[12:])) }

// state is what the status file says, if it is true of the process: "up/u", "down/d", "up/o paused".
// After the slash stands the wish: u for up, d for down, o for once.
func (s *service) state() string {
	if !s.supervised() {
		return "gone"
	}
	b := s.status()
	if len(b) < 18 {
		return fmt.Sprintf("a status of %d bytes", len(b))
	}
	state := "down"
	if pid := statusPid(b); pid != 0 {
		state = "up"
		stopped := processState(pid) == 'T'
		if _, starts, last := s.heard(); starts > 0 && pid != last {
			state = "up as another process"
		} else if stopped != (b[16] != 0) {
			state = "up, stopped or not"
		}
	}
	switch b[17] {
	case 'u', 'd':
		state += "/" + string(b[17])
	case 0:
		state += "/o"
	default:
		state += fmt.Sprintf("/%#x", b[17])
	}
	if b[16] != 0 && statusPid(b) != 0 { // the byte means nothing without a process: runit keeps it
		state += " paused"
	}
	return state
}

func processState(pid int) byte {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if i := strings.LastIndexByte(string(b), ')'); i >= 0 && len(b) > i+2 {
		return b[i+2]
	}
	return 0
}

// tally is how often the service was started and which signals it got: "1 HUP".
func (s *service) tally() string {
	signals, starts, _ := s.heard()
	return strings.Join(append([]string{strconv.Itoa(starts)}, signals...), " ")
}

// seen is the state and the tally: "up/u 1 HUP".
func (s *service) seen() string { return s.state() + " " + s.tally() }

// tell writes letters into a control FIFO with one write, as svc does.
func tell(control, letters string) error {
	fd, err := syscall.Open(control, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	_, err = syscall.Write(fd, []byte(letters))
	return err
}

// send writes letters at once, svc or not.
func (s *service) send(letters string) {
	s.h.t.Helper()
	if err := tell(filepath.Join(s.dir, "supervise/control"), letters); err != nil {
		s.h.t.Fatalf("%s: %v", s.name, err)
	}
}

// svc runs the peer's svc, which must be silent.
func (s *service) svc(options string) {
	s.h.t.Helper()
	if out, code := harness.Run(s.h.t, s.h.peer.client(s.h.t, "svc"), options, s.dir); out != "" || code != 0 {
		s.h.t.Fatalf("svc %s %s: code %d, %s", options, s.name, code, out)
	}
}

// await waits until the service is seen as described.
func (s *service) await(want string) {
	s.h.t.Helper()
	s.awaitAny(s.seen, want)
}

// awaitState is await for the state alone.
func (s *service) awaitState(want string) {
	s.h.t.Helper()
	s.awaitAny(s.state, want)
}

func (s *service) awaitAny(look func() string, want string) {
	s.h.t.Helper()
	var last string
	for end := time.Now().Add(harness.Patience); ; time.Sleep(5 * time.Millisecond) {
		if last = look(); last == want {
			return
		}
		if time.Now().After(end) {
			s.h.t.Fatalf("%s: waited in vain for %q, seen last: %q%s", s.name, want, last, s.h.casualties())
		}
	}
}
