package dialects_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"upkeep/fsstate"
	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// TestEncoreOneshot: where there is a start and no run, the service is up without a process until it is told to be
// down.
func TestEncoreOneshot(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	v := s.service("net", "", "start", "#!/bin/sh\necho start >>ran\n", "stop", "#!/bin/sh\necho stop >>ran\n")
	if err := os.Remove(v.path("run")); err != nil {
		t.Fatal(err)
	}
	after := s.service("web", server(t, ""), "after", "net\n")
	s.open()
	after.await("heard", "start\n")
	v.awaitLong("started")
	v.await("ran", "start\n")
	harness.Run(t, harness.Bin(t, "upkeep"), "wait", "-u", v.dir)
	v.tell("hk")
	v.tell("d")
	v.await("ran", "start\nstop\n")
	harness.Run(t, harness.Bin(t, "upkeep"), "wait", "-D", v.dir)
	v.tell("u")
	v.await("ran", "start\nstop\nstart\n")
	v.awaitLong("started")
}

// TestEncoreLog: the program log reads what the service's programs write, is seen in the second part of the status,
// hears the letters after L, and ends with the service.
func TestEncoreLog(t *testing.T) {
	t.Parallel()
	encore := upkeep
	encore.scan = func(t testing.TB, root string) *exec.Cmd {
		return rig.Command(t, "--status=encore", "--stop-timeout=8s", root)
	}
	s := newStage(t, encore)
	v := s.service("web", "#!/bin/sh\necho run\nexec cat go\n", "start", "#!/bin/sh\necho start\n",
		"stop", "#!/bin/sh\necho stop\n", "log", "#!/bin/sh\necho log >>begun\nexec cat >>logged\n").gates("go")
	v.open()
	v.await("logged", "start\nrun\n")
	log := v.logPid(0)
	says := func(words ...string) {
		t.Helper()
		for _, word := range words {
			harness.Eventually(t, "svstat says "+word, func() bool { return strings.Contains(rig.Client(t, "svstat", v.dir), word) })
		}
	}
	says("running\n", fmt.Sprintf("log: up (pid %d)", log))

	s.daemon.Stop(syscall.SIGKILL, harness.Patience) // and the next one knows both
	main := v.pid()
	v.open()
	v.supervised()
	v.tell("Lp")
	says("paused")
	v.tell("Lc")
	if v.pid() != main || v.logPid(0) != log {
		t.Errorf("run has pid %d, log has pid %d, they had %d and %d", v.pid(), v.logPid(0), main, log)
	}

	v.tell("Lk")
	log = v.logPid(log)
	v.await("begun", "log\nlog\n")
	v.release("go", "through")
	v.await("logged", "start\nrun\nthrough\nrun\n")
	v.tell("Ld")
	says("log: down")
	v.tell("d") // of which the logger learns when it is up again
	says("/web: down")
	v.tell("Lu")
	log = v.logPid(log)
	v.await("logged", "start\nrun\nthrough\nrun\nstop\n")

	v.tell("u")
	v.await("logged", "start\nrun\nthrough\nrun\nstop\nstart\nrun\n")
	v.tell("dx") // and log with it, until it is taken up again
	harness.Eventually(t, "log has ended", func() bool { return !rig.Alive(log) })
	v.await("logged", "start\nrun\nthrough\nrun\nstop\nstart\nrun\nstop\nstart\nrun\n")
	v.logPid(log)
	if code := s.daemon.Stop(syscall.SIGTERM, harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	v.await("logged", "start\nrun\nthrough\nrun\nstop\nstart\nrun\nstop\nstart\nrun\nstop\n")
}

// logPid waits for a living log process other than the old one.
func (v *service) logPid(old int) (pid int) {
	v.t.Helper()
	harness.Eventually(v.t, fmt.Sprintf("log is up with a pid other than %d", old), func() bool {
		log, err := fsstate.ParseStatus(fsstate.LogBlock(v.status()))
		pid = log.Pid
		return err == nil && pid != 0 && pid != old && rig.Alive(pid)
	})
	return pid
}
