// Package wait_test tests upkeep wait as a program, on services of every supervisor whose status it reads.
package wait_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/tai64"
	"upkeep/test/harness"
)

const sleeper = "#!/bin/sh\nexec sleep 1000\n"

// service makes a service directory that nobody supervises.
func service(t *testing.T, files ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "web")
	harness.WriteFile(t, dir+"/run", sleeper, 0o755)
	for _, name := range files {
		harness.WriteFile(t, filepath.Join(dir, name), "3\n", 0o644)
	}
	return dir
}

// start starts upkeep wait.
func start(t *testing.T, args ...string) *harness.Process {
	t.Helper()
	return harness.Start(t, syscall.SIGKILL, exec.Command(harness.Bin(t, "upkeep"), append([]string{"wait"}, args...)...))
}

// begun waits until a wait has looked at what there is and waits for changes: until it sleeps in poll.
func begun(t *testing.T, p *harness.Process) {
	t.Helper()
	harness.Eventually(t, "it waits", func() bool {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", p.Process.Pid))
		for _, task := range tasks {
			if text, _ := os.ReadFile(task); strings.HasPrefix(string(text), fmt.Sprintf("%d ", unix.SYS_PPOLL)) {
				return true
			}
		}
		return !p.Running()
	})
	if !p.Running() {
		t.Fatalf("%v has ended with %d: %s", p.Args, p.Wait(), p.Output())
	}
}

// ends waits for the end of a wait.
func ends(t *testing.T, p *harness.Process, code int, output string) {
	t.Helper()
	if got := p.Wait(); got != code || p.Output() != output {
		t.Errorf("%q: exit code %d, %q; want %d, %q", p.Args[1:], got, p.Output(), code, output)
	}
}

// A host is a supervisor of which a test says what it records.
type host struct {
	t   *testing.T
	dir *fsstate.Dir
}

func supervise(t *testing.T, path string) host {
	t.Helper()
	dir, err := fsstate.Take(path, "", fsstate.Status{Since: tai64.Now(), Want: fsstate.WantUp}.Append(nil, fsstate.FormatRunit))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dir.Close)
	h := host{t, dir}
	h.record("down")
	return h
}

// record records a phase as upkeep does.
func (h host) record(phase string) {
	h.t.Helper()
	s := fsstate.Status{Since: tai64.Now(), Want: fsstate.WantUp}
	switch phase {
	case "starting", "up", "ready", "stopping":
		s.Pid, s.Phase = 1, fsstate.PhaseRun
	case "finishing":
		s.Pid, s.Phase = 1, fsstate.PhaseFinish
	}
	if err := h.dir.Complete(s.Append(nil, fsstate.FormatRunit), nil); err != nil {
		h.t.Fatal(err)
	}
	if err := h.dir.Complete(nil, fsstate.Info{Pid: s.Pid, Phase: phase}.Append(nil)); err != nil {
		h.t.Fatal(err)
	}
}

// TestPhases: what each option waits for, and what it does not take for that.
func TestPhases(t *testing.T) {
	phases := []string{"down", "starting", "up", "ready", "stopping", "finishing", "waiting", "clearing", "failed", "gone"}
	for flag, is := range map[string]string{
		"-u": "up ready stopping",
		"-U": "ready",
		"-d": "down finishing waiting clearing failed gone",
		"-D": "down waiting failed gone",
	} {
		dir := service(t, "notification-fd")
		h := supervise(t, dir)
		for _, phase := range phases {
			h.record(phase)
			if strings.Contains(" "+is+" ", " "+phase+" ") {
				ends(t, start(t, flag, dir), 0, "")
				continue
			}
			p := start(t, flag, dir)
			begun(t, p)
			h.record(strings.Fields(is)[0])
			ends(t, p, 0, "")
		}
	}
}

// TestReadyWithoutNotice: a service that never says when it is ready is up at best.
func TestReadyWithoutNotice(t *testing.T) {
	dir := service(t)
	h := supervise(t, dir)
	p := start(t, "-U", dir)
	begun(t, p)
	h.record("up")
	ends(t, p, 0, "wait: warning: "+dir+" does not say when it is ready; waiting until it is up\n")

	dir = service(t, "notify-socket")
	h = supervise(t, dir)
	h.record("up")
	p = start(t, "-U", dir)
	begun(t, p)
	h.record("ready")
	ends(t, p, 0, "")
}

// TestFailure: a service that fails for good while it is waited for need not be waited for any longer; one
// that had failed before may have been told to start again.
func TestFailure(t *testing.T) {
	for _, flag := range []string{"-u", "-U"} {
		dir := service(t, "notification-fd")
		h := supervise(t, dir)
		h.record("failed")
		p := start(t, flag, dir)
		begun(t, p)
		h.record("waiting") // without a process, as failed is: status and resume, of which one is written first, do not contradict each other
		h.record("failed")
		ends(t, p, 1, "wait: fatal: "+dir+" has failed for good\n")
	}
}

func TestTimeout(t *testing.T) {
	a, b, c := service(t), service(t), service(t)
	supervise(t, a).record("waiting")
	supervise(t, b).record("up")
	text := fmt.Sprintf("wait: fatal: timed out: %s is waiting, %s is not supervised\n", a, c)
	for _, limit := range []string{"1", "1ms", "0.001s"} {
		ends(t, start(t, "-t", limit, "-u", a, b, c), 99, text)
	}
}

func TestAllOrOne(t *testing.T) {
	a, b := service(t), service(t)
	first, second := supervise(t, a), supervise(t, b)
	one := start(t, "-o", "-u", a, b)
	all := start(t, "-a", "-u", a, b, a)
	begun(t, one)
	begun(t, all)
	first.record("up")
	ends(t, one, 0, "")
	second.record("up")
	ends(t, all, 0, "")
}

// TestOnceIsEnough: of several services each must have been so once, not all at the same time.
func TestOnceIsEnough(t *testing.T) {
	a, b := service(t), service(t)
	first, second := supervise(t, a), supervise(t, b)
	first.record("up")
	p := start(t, "-u", a, b)
	begun(t, p)
	first.record("down")
	second.record("up")
	ends(t, p, 0, "")
}

// TestSupervisionToCome: what is not supervised yet is waited for, wherever supervise is.
func TestSupervisionToCome(t *testing.T) {
	plain, linked, once := service(t), service(t), service(t)
	if err := os.Symlink("../state/web", linked+"/supervise"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(linked+"/../state", 0o755); err != nil {
		t.Fatal(err)
	}
	before := supervise(t, once)
	before.record("up")
	before.dir.Close() // what it has recorded stays
	for _, dir := range []string{plain, linked, once} {
		p := start(t, "-u", dir)
		begun(t, p)
		h := supervise(t, dir)
		h.record("up")
		ends(t, p, 0, "")
	}
}

// TestSupervisionThatBeginsLast: the status may have been there before somebody supervises.
func TestSupervisionThatBeginsLast(t *testing.T) {
	dir := service(t)
	h := supervise(t, dir)
	h.record("up")
	h.dir.Close()
	p := start(t, "-u", dir)
	begun(t, p)
	ok, err := os.OpenFile(dir+"/supervise/ok", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ok.Close()
	ends(t, p, 0, "")
}

// TestUnsupervised: a service that nobody supervises is down, unless its process has been left running.
func TestUnsupervised(t *testing.T) {
	dir := service(t)
	for _, flag := range []string{"-d", "-D"} {
		ends(t, start(t, flag, dir), 0, "")
	}
	h := supervise(t, dir)
	h.record("up") // process 1
	p := start(t, "-d", dir)
	begun(t, p)
	h.dir.Close()
	ends(t, start(t, "-t", "1", "-D", dir), 99, "wait: fatal: timed out: "+dir+" is not supervised\n")
	h = supervise(t, dir)
	ends(t, p, 0, "")

	h.record("up")
	p = start(t, "-D", dir)
	begun(t, p)
	h.dir.Complete(fsstate.Status{Since: tai64.Now()}.Append(nil, fsstate.FormatRunit), nil)
	h.dir.Close()
	ends(t, p, 0, "")
}

// TestStateDirectory: with --state the status is elsewhere, and that is what is waited at.
func TestStateDirectory(t *testing.T) {
	root, state := t.TempDir(), t.TempDir()
	harness.WriteFile(t, root+"/web/run", sleeper, 0o755)
	harness.Start(t, syscall.SIGTERM, exec.Command(harness.Bin(t, "upkeep"), "--cgroup=off", "--state="+state, root))
	harness.Eventually(t, "there is a directory for it", func() bool {
		_, err := os.Stat(state + "/web")
		return err == nil
	})
	ends(t, start(t, "-u", state+"/web"), 0, "")
}

// TestSupervisors: the status of every supervisor of the family will do.
func TestSupervisors(t *testing.T) {
	for name, cmd := range map[string]func(dir string) *exec.Cmd{
		"upkeep": func(dir string) *exec.Cmd { return exec.Command(harness.Bin(t, "supervise"), dir) },
		"daemontools": func(dir string) *exec.Cmd {
			return exec.Command(harness.Need(t, "supervise")[0], dir)
		},
		"runit": func(dir string) *exec.Cmd { return exec.Command(harness.Need(t, "runsv")[0], dir) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := service(t, "down")
			p := start(t, "-u", dir)
			begun(t, p)
			supervisor := harness.Start(t, syscall.SIGTERM, cmd(dir))
			svok := func() bool { _, code := harness.Run(t, harness.Bin(t, "svok"), dir); return code == 0 }
			harness.Eventually(t, "it is supervised", svok)
			harness.Run(t, harness.Bin(t, "svc"), "-u", dir)
			ends(t, p, 0, "")
			p = start(t, "-D", dir)
			begun(t, p)
			harness.Run(t, harness.Bin(t, "svc"), "-dx", dir)
			ends(t, p, 0, "")
			supervisor.Wait()
		})
	}
}

// TestWrittenInPlace: daemontools-encore writes its status anew instead of replacing it.
func TestWrittenInPlace(t *testing.T) {
	dir := service(t)
	h := supervise(t, dir)
	status := fsstate.Status{Since: tai64.Now(), State: fsstate.EncoreStarting}
	if err := os.Remove(dir + "/supervise/resume"); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(dir+"/supervise/status", os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	write := func() {
		if _, err := file.WriteAt(status.Append(nil, fsstate.FormatEncore), 0); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, "-u", dir)
	begun(t, p)
	write()
	status.State = fsstate.EncoreStarted // and no process
	write()
	ends(t, p, 0, "")
	p = start(t, "-d", dir)
	begun(t, p)
	status.State = fsstate.EncoreStopped
	write()
	ends(t, p, 0, "")
	h.dir.Close()
}

func TestUsage(t *testing.T) {
	const usage = "wait: usage: upkeep wait [-u|-U|-d|-D] [-a|-o] [-t time] dir [dir ...]\n"
	for _, test := range []struct {
		args   []string
		code   int
		output string
	}{
		{nil, 100, usage},
		{[]string{"-u"}, 100, usage},
		{[]string{"-r", "x"}, 100, "wait: illegal option -- r\n" + usage},
		{[]string{"-t"}, 100, "wait: option requires an argument -- t\n" + usage},
		{[]string{"-t", "soon", "x"}, 100, "wait: fatal: \"soon\" is no time\n" + usage},
		{[]string{"-t", "-1s", "x"}, 100, "wait: fatal: \"-1s\" is no time\n" + usage},
		{[]string{"/nonexistent"}, 111, "wait: fatal: unable to chdir to /nonexistent: file does not exist\n"},
	} {
		ends(t, start(t, test.args...), test.code, test.output)
	}
}
