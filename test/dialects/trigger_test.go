package dialects_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// waits waits until the service is seen waiting for its trigger: no process, but wanted up.
func (v *service) waits(words ...string) {
	v.t.Helper()
	v.awaitLong(append([]string{"waiting", "waits for"}, words...)...)
	if b := v.status(); v.pid() != 0 || b[17] != 'u' {
		v.t.Errorf("%s waits with the status % x", v.name, b)
	}
}

// bystander is a process of the test's own, by which pid files are filled.
func bystander(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

// TestTriggerOnService: a service waits until another has a process, at its first start and at each other.
func TestTriggerOnService(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	status := filepath.Join(s.root, "tinydns", "supervise", "status")
	other := s.service("tinydns", server(t, ""), "down", "")
	cache := s.service("dnscache", server(t, ""), "trigger", status+"\n")
	relative := s.service("relative", server(t, ""), "trigger", "../tinydns/supervise/status \n")
	last := s.service("zone", server(t, ""), "trigger", "../dnscache/supervise/status\nanything\n")
	s.open()
	other.supervised()
	for _, v := range []*service{cache, relative} {
		v.waits(status)
	}
	last.waits()
	other.tell("u")
	for _, v := range []*service{cache, relative, last} {
		v.await("heard", "start\n")
		pid := v.up(0)
		// It is the start that waits. What runs goes on.
		other.tell("d")
		harness.Eventually(t, "the other is down", func() bool { return other.pid() == 0 })
		if !rig.Alive(pid) {
			t.Errorf("%s was ended with what it waits for", v.name)
		}
		other.tell("u")
		other.up(0)
	}
	other.tell("d")
	harness.Eventually(t, "the other is down", func() bool { return other.pid() == 0 })
	cache.tell("t")
	cache.waits(status)
	cache.await("heard", "start\nTERM\n")
	cache.tell("u") // no way around it
	cache.tell("o")
	other.tell("o")
	cache.await("heard", "start\nTERM\nstart\n")
	n := 0
	for line := range strings.Lines(s.daemon.Output()) {
		if strings.Contains(line, "dnscache: it waits for "+status) {
			n++
		}
	}
	if n != 2 {
		t.Errorf("it waited twice, and the daemon says so %d times:\n%s", n, s.daemon.Output())
	}
}

// TestTriggerOnPidFile: the file comes, has other text, names a process that has ended, and one that lives.
func TestTriggerOnPidFile(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	dir := filepath.Join(filepath.Dir(s.root), "run", "daemon")
	file := filepath.Join(dir, "daemon.pid")
	v := s.service("web", server(t, ""), "trigger", file)
	s.open()
	v.waits(file, "does not exist")
	write := func(text string) {
		t.Helper()
		harness.WriteFile(t, file+".new", text, 0o644)
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("soon\n") // the directories are new, too
	v.waits(file, "names no process")
	dead := bystander(t)
	dead.Process.Kill()
	dead.Wait()
	write(fmt.Sprintln(dead.Process.Pid))
	v.waits(file, fmt.Sprint(dead.Process.Pid))
	os.Remove(file)
	v.waits(file, "does not exist")
	living := bystander(t)
	// In place, as daemons write it.
	harness.WriteFile(t, file, fmt.Sprintf("%d\n", living.Process.Pid), 0o644)
	v.await("heard", "start\n")

	// A start anew asks again, for a process that is gone while the file is still there.
	living.Process.Kill()
	living.Wait()
	v.tell("t")
	v.waits(file, "gone")
	write(fmt.Sprintf(" %d and more\n", os.Getpid()))
	v.await("heard", "start\nTERM\nstart\n")
}

// TestTriggerNeverComes: whatever is waited for in vain is seen, and letters work.
func TestTriggerNeverComes(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	never := filepath.Join(filepath.Dir(s.root), "never")
	services := []*service{
		s.service("itself", server(t, ""), "trigger", "supervise/status\n"),
		s.service("missing", server(t, ""), "trigger", never),
		s.service("fifo", server(t, ""), "trigger", "fifo"),
		s.service("folder", server(t, ""), "trigger", "/"),
		s.service("loop", server(t, ""), "trigger", "loop"),
		s.service("mutual1", server(t, ""), "trigger", filepath.Join(s.root, "mutual2/supervise/status")),
		s.service("mutual2", server(t, ""), "trigger", "../mutual1/supervise/status"),
	}
	if err := syscall.Mkfifo(services[2].path("fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", services[4].path("loop")); err != nil {
		t.Fatal(err)
	}
	free := s.service("zz", server(t, ""))
	s.open()
	free.await("heard", "start\n")
	for _, v := range services[1:5] {
		v.waits()
		v.tell("d")
		v.awaitLong("down")
		await(t, "the wish", "d", func() string { return v.text("supervise/status")[17:18] })
		v.tell("u")
		v.waits()
		v.tell("htiak12c") // no process to hear it
		v.tell("o")
		await(t, "the wish", "\x00", func() string { return v.text("supervise/status")[17:18] })
		v.awaitLong("waiting")
		if err := os.Rename(v.dir, filepath.Join(s.root, "."+v.name)); err != nil {
			t.Fatal(err)
		}
		v.dir = filepath.Join(s.root, "."+v.name)
		v.tell("x")
		harness.Eventually(t, v.name+" is given up", func() bool { return v.told("") != nil })
		if v.text("heard") != "" {
			t.Errorf("%s was started", v.name)
		}
	}
	// Services that wait for each other, or one for itself, are a cycle like any other: it is named, and
	// the last of them does not wait.
	for _, v := range services[5:] {
		v.await("heard", "start\n")
	}
	s.daemon.EventuallySays("mutual1", "mutual2", "wait")
	services[0].await("heard", "start\n")
	s.daemon.EventuallySays("itself waits for itself: a cycle")
}
