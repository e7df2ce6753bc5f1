package resume_test

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// resumed is how often the daemon has executed itself anew, as it says.
func (h *house) resumed() int {
	h.t.Helper()
	n := -1
	harness.Eventually(h.t, "the daemon says how often it was resumed", func() bool {
		for line := range strings.Lines(ctlSays(h.t, h, "status")) {
			fmt.Sscanf(line, "resumed %d", &n)
		}
		return n >= 0
	})
	return n
}

// upgrade has the daemon executed anew by its order.
func (h *house) upgrade() {
	h.t.Helper()
	harness.Eventually(h.t, "it is upgraded", func() bool {
		out, code := harness.Run(h.t, harness.Bin(h.t, "upkeep"), "ctl", "upgrade", h.root)
		// Another test has forked while the program was written, or the machine is too busy for the new program to answer.
		busy := strings.Contains(out, "text file busy") || strings.Contains(out, "does not say within")
		if code != 0 && !busy {
			h.t.Fatalf("upgrade: %d: %s", code, out)
		}
		return !busy
	})
}

// own gives the house a program of its own, which can be replaced.
func (h *house) own() {
	h.t.Helper()
	path := filepath.Join(h.top, "upkeep")
	install(h.t, path, []byte(read(h.program)))
	h.program = path
}

// install replaces a program as a whole. Another process writes it: a fork of ours would have the file open for
// a moment, in which it cannot be executed.
func install(t *testing.T, path string, program []byte) {
	t.Helper()
	harness.WriteFile(t, path+".data", string(program), 0o755)
	harness.Run(t, "cp", "-p", path+".data", path+".new")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestUpgrade: by signal and by order, pids are kept and nobody notices.
func TestUpgrade(t *testing.T) {
	ways(t, func(t *testing.T, h *house) {
		if len(h.options) > 0 && strings.HasPrefix(h.options[0], "--state=") {
			return // the orders go elsewhere
		}
		h.own()
		s := h.service("web", long)
		s.logger()
		waiting := h.service("waiting", "exit 1")
		paused := h.service("paused", long)
		h.open()
		pid, pausedPid := s.begun(), paused.begun()
		logPid := rig.Up(t, filepath.Join(s.dir, "log"))
		paused.svc("p")
		waiting.supervised()
		h.listens()
		daemon := h.Pid()
		install(t, h.program, []byte(read(h.program)))
		h.upgrade()
		if n := h.resumed(); n != 1 {
			t.Errorf("resumed %d times", n)
		}
		kill(t, daemon, syscall.SIGUSR1)
		harness.Eventually(t, "it is resumed twice", func() bool { return h.resumed() == 2 })
		s.same(pid, 1)
		paused.same(pausedPid, 1)
		if got := rig.Up(t, filepath.Join(s.dir, "log")); got != logPid {
			t.Errorf("the logger has pid %d, had %d", got, logPid)
		}
		starts := waiting.starts()
		harness.Eventually(t, "what fails is tried again", func() bool { return waiting.starts() > starts })
		// Children of before are still children: their ends are known, and they are reaped.
		kill(t, pid, syscall.SIGKILL)
		next := rig.NewPid(t, s.dir, pid)
		if rig.ProcState(pid) == "Z" {
			harness.Eventually(t, "it is reaped", func() bool { return rig.ProcState(pid) != "Z" })
		}
		if status := read(fmt.Sprintf("/proc/%d/status", next)); !strings.Contains(status, "SigBlk:\t0000000000000000") ||
			!strings.Contains(status, "SigIgn:\t0000000000000000") {
			t.Errorf("a service starts with signals blocked or ignored:\n%s", status)
		}
		harness.Eventually(t, "it has three descriptors", func() bool { // its script has opened one for a while
			fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", next))
			return len(fds) == 3
		})
		if env := read(fmt.Sprintf("/proc/%d/environ", next)); strings.Contains(env, "UPKEEP_HANDOVER") {
			t.Error("a service sees what was handed over")
		}
		h.ends(0)
	})
}

// TestNoClientRefused: while the daemon is replaced again and again, everybody is served.
func TestNoClientRefused(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", "trap : HUP\necho >ready\nwhile :; do sleep 0.05; done")
	s.logger()
	h.open()
	pid := s.begun()
	harness.Eventually(t, "it is ready", func() bool { return read(filepath.Join(s.dir, "ready")) != "" })
	s.supervised()
	h.listens()
	var done atomic.Bool
	failed, calls := make(chan string, 3), make([]int, 3)
	for i, argv := range [][]string{{"svok", s.dir}, {"svstat", s.dir}, {"svc", "-h", s.dir}} {
		bin := harness.Bin(t, argv[0])
		go func() {
			for ; !done.Load(); calls[i]++ {
				out, err := exec.Command(bin, argv[1:]...).CombinedOutput()
				text := string(out)
				if err != nil || argv[0] == "svc" && text != "" || argv[0] == "svstat" && !strings.Contains(text, fmt.Sprintf("up (pid %d)", pid)) {
					failed <- fmt.Sprintf("%q: %v: %s", argv, err, text)
					return
				}
			}
			failed <- ""
		}()
	}
	slow := false // what is under way for longer than a second is left to the successor, which finds it as after a crash
	for range 20 {
		begun := time.Now()
		h.upgrade()
		slow = slow || time.Since(begun) >= time.Second
	}
	done.Store(true)
	for range 3 {
		if text := <-failed; text != "" && !slow {
			t.Error(text)
		}
	}
	for i, n := range calls {
		if n == 0 {
			t.Errorf("client %d never called", i)
		}
	}
	if n := h.resumed(); n != 20 {
		t.Errorf("resumed %d times", n)
	}
	s.same(pid, 1)
	h.ends(0)
}

// TestNothingLeaks: the twentieth life in the same process has as many descriptors as the first.
func TestNothingLeaks(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", long)
	s.logger()
	h.service("plain", long)
	h.open()
	pid := s.begun()
	rig.Up(t, filepath.Join(s.dir, "log"))
	h.listens()
	descriptors := func() string {
		var list []string
		dirs, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/fd", h.Pid()))
		for _, dir := range dirs[:1] {
			fds, _ := os.ReadDir(dir)
			for _, fd := range fds {
				to, _ := os.Readlink(filepath.Join(dir, fd.Name()))
				to, _, _ = strings.Cut(to, ":[")
				list = append(list, to)
			}
		}
		return strings.Join(list, "\n")
	}
	count := func() int { return strings.Count(descriptors(), "\n") }
	h.upgrade()
	s.same(pid, 1)
	h.listens()
	first := descriptors()
	for range 19 {
		h.upgrade()
	}
	s.same(pid, 1)
	h.listens()
	deadline := time.Now().Add(harness.Patience)
	for count() > strings.Count(first, "\n") && time.Now().Before(deadline) { // a start or a scan may be under way
		time.Sleep(10 * time.Millisecond)
	}
	if last := descriptors(); strings.Count(last, "\n") > strings.Count(first, "\n") {
		t.Errorf("after the first:\n%s\nafter the twentieth:\n%s", first, last)
	}
}

// TestUpgradeRefused: a program that could not go on is not executed, and it is said why.
func TestUpgradeRefused(t *testing.T) {
	foreign := func(b []byte) []byte {
		machine := elf.EM_S390
		binary.LittleEndian.PutUint16(b[18:], uint16(machine))
		return b
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		why   string
	}{
		"missing":        {func(t *testing.T, path string) { replace(t, path, func() error { return nil }) }, "no such file"},
		"not executable": {func(t *testing.T, path string) { install(t, path, []byte(read(path))); os.Chmod(path, 0o644) }, "permission denied"},
		"directory": {func(t *testing.T, path string) {
			replace(t, path, func() error { return os.Mkdir(path, 0o755) })
		}, "permission denied"},
		"other architecture": {func(t *testing.T, path string) { install(t, path, foreign([]byte(read(path)))) }, "exec format error"},
		"cut short":          {func(t *testing.T, path string) { install(t, path, []byte(read(path))[:100000]) }, "does not start"},
		"empty":              {func(t *testing.T, path string) { install(t, path, nil) }, "exec format error"},
		"other version":      {func(t *testing.T, path string) { install(t, path, []byte("#!/bin/sh\necho 77 78\n")) }, "understands the handovers \"77 78\""},
		"other program":      {func(t *testing.T, path string) { install(t, path, []byte("#!/bin/sh\necho hello\n")) }, "understands the handovers"},
		"fails":              {func(t *testing.T, path string) { install(t, path, []byte("#!/bin/sh\nexit 3\n")) }, "does not start: exit code 3"},
		"hangs":              {func(t *testing.T, path string) { install(t, path, []byte("#!/bin/sh\nexec sleep 1000000\n")) }, "does not say"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.own()
			s := h.service("web", long)
			h.open()
			pid := s.begun()
			h.listens()
			good := []byte(read(h.program))
			c.spoil(t, h.program)
			client := &house{t: t, root: h.root, program: harness.Bin(t, "upkeep")}
			out, code := harness.Run(t, client.program, "ctl", "upgrade", h.root)
			if code != 111 || !strings.Contains(out, c.why) {
				t.Errorf("upgrade: %d, no %q: %s", code, c.why, out)
			}
			kill(t, h.Pid(), syscall.SIGUSR1)
			harness.Eventually(t, "the signal is refused too", func() bool { return strings.Count(h.Output(), "not upgraded: ") == 2 })
			if n := client.resumed(); n != 0 {
				t.Errorf("resumed %d times", n)
			}
			s.same(pid, 1)
			if name == "directory" {
				os.Remove(h.program)
			}
			install(t, h.program, good)
			h.upgrade()
			s.same(pid, 1)
			h.ends(0)
		})
	}
}

// TestSignalsDuringUpgrade: what the daemon is told while it is replaced, its successor does.
func TestSignalsDuringUpgrade(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", long)
	h.open()
	pid := s.begun()
	for i := range 30 {
		h.listens()
		n := h.resumed()
		kill(t, h.Pid(), syscall.SIGUSR1)
		time.Sleep(time.Duration(i) * 400 * time.Microsecond) // a place in the upgrade, no wait for anything
		kill(t, h.Pid(), syscall.SIGHUP)
		harness.Eventually(t, "it is resumed", func() bool { return h.resumed() == n+1 })
		s.same(pid, 1)
	}
	h.ends(0)
	dies(t, pid)
}

// TestUpgradeLasts: what was handed over and taken is still held when the rest is given up, after ten seconds.
func TestUpgradeLasts(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", long)
	log := h.service("logged", long)
	log.logger()
	h.open()
	pid := s.begun()
	log.begun()
	h.listens()
	h.upgrade()
	held := func() (list []string) {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", h.Pid()))
		for _, fd := range fds {
			to, _ := os.Readlink(fd)
			if name := filepath.Base(to); strings.HasPrefix(to, h.root) && slices.Contains([]string{"lock", "control", "ok", "logpipe"}, name) {
				list = append(list, to)
			}
		}
		return list
	}
	before := held()
	if len(before) < 2+3*3+1 {
		t.Errorf("it holds only %q", before)
	}
	time.Sleep(11 * time.Second)
	if after := held(); len(after) != len(before) {
		t.Errorf("it holds %q, and had %q", after, before)
	}
	ctlSays(t, h, "status")
	s.same(pid, 1)
	h.ends(0)
}
