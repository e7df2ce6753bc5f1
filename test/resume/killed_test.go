package resume_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"upkeep/fsstate"
	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// ways are the ways to keep state and to know processes.
func ways(t *testing.T, test func(t *testing.T, h *house)) {
	for _, options := range [][]string{nil, {"--cgroup=off"}, {"--state="}} {
		t.Run(fmt.Sprint(options), func(t *testing.T) {
			if len(options) > 0 && options[0] == "--state=" {
				options = []string{"--state=" + t.TempDir()}
			}
			test(t, newHouse(t, options...))
		})
	}
}

// TestKilled: whatever a service was doing and was to do when the daemon was killed, it goes on with.
func TestKilled(t *testing.T) {
	ways(t, func(t *testing.T, h *house) {
		up := h.service("up", long)
		upThough := h.service("up-though", long, "down", "")
		down := h.service("down", long)
		once := h.service("once", long, "down", "")
		paused := h.service("paused", long)
		stopping := h.service("stopping", "trap '' TERM\necho >deaf\n"+long)
		h.open()
		downPid := down.begun()
		for _, s := range []*service{up, paused, stopping} {
			s.begun()
		}
		harness.Eventually(t, "it is deaf", func() bool { return read(filepath.Join(stopping.dir, "deaf")) != "" })
		upThough.supervised()
		upThough.svc("u")
		once.supervised()
		once.svc("o")
		down.svc("d")
		paused.svc("p")
		stopping.svc("d")
		dies(t, downPid)
		down.phase("down")
		rig.Down(t, down.clients()) // its status is written after that
		stopping.phase("stopping")
		harness.Eventually(t, "it is paused", func() bool { return paused.info().Pause && rig.ProcState(paused.up()) == "T" })
		type was struct {
			pid, starts int
			label       string
		}
		running := []*service{up, upThough, once, paused, stopping}
		before := make(map[*service]was)
		for _, s := range append(running, down) {
			if s != down {
				s.begun()
			}
			before[s] = was{s.info().Pid, s.starts(), s.label()}
		}
		for range 3 {
			h.again()
			down.supervised()
			for _, s := range running {
				s.same(before[s].pid, before[s].starts)
			}
			for s, b := range before {
				if s.label() != b.label {
					t.Errorf("%s is up or down since another time", s.name())
				}
			}
			if v := paused.view(); !v.Paused {
				t.Errorf("paused: %+v", v)
			}
			if v := stopping.view(); v.Phase != "stopping" || v.Want != "down" {
				t.Errorf("stopping: %+v", v)
			}
			if v := down.view(); *v.Up || v.Want != "down" {
				t.Errorf("down: %+v", v)
			}
			if v := once.view(); v.Want != "once" {
				t.Errorf("once: %+v", v)
			}
		}
		for _, s := range running {
			kill(t, before[s].pid, syscall.SIGKILL)
		}
		for _, s := range []*service{up, upThough, paused} {
			rig.NewPid(t, s.clients(), before[s].pid)
			harness.Eventually(t, s.name()+" has begun twice", func() bool { return s.starts() == 2 })
		}
		once.phase("down")
		stopping.phase("down")
		for _, s := range []*service{once, stopping, down} {
			if s.starts() != 1 {
				t.Errorf("%s was started %d times", s.name(), s.starts())
			}
		}
		h.ends(0)
	})
}

// TestKilledLogger: neither side of a log pipe notices, and no line is lost.
func TestKilledLogger(t *testing.T) {
	ways(t, func(t *testing.T, h *house) {
		s := h.service("web", "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); echo $i; [ $((i%10)) != 0 ] || sleep 0.002; done; "+long)
		log := s.logger()
		h.open()
		pid := s.begun()
		logPid := rig.Up(t, filepath.Join(s.clients(), "log"))
		for range 5 {
			seen := contiguous(t, log)
			h.kill()
			harness.Eventually(t, "lines are logged without a daemon", func() bool {
				return contiguous(t, log) > seen || seen >= 4000
			})
			h.open()
			s.same(pid, 1)
			if got := rig.Up(t, filepath.Join(s.clients(), "log")); got != logPid {
				t.Fatalf("the logger has pid %d, had %d", got, logPid)
			}
		}
		harness.Eventually(t, "all is logged", func() bool { return contiguous(t, log) >= 4000 })
		// Each side can still be replaced.
		kill(t, logPid, syscall.SIGKILL)
		rig.NewPid(t, filepath.Join(s.clients(), "log"), logPid)
		kill(t, pid, syscall.SIGKILL)
		rig.NewPid(t, s.clients(), pid)
		h.ends(0)
	})
}

// TestLoggerDiedMeanwhile: what the service writes while there is neither a logger nor a daemon waits in the pipe.
func TestLoggerDiedMeanwhile(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", "until [ -e go ]; do sleep 0.01; done; i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; done; echo >written\n"+long)
	log := s.logger()
	h.open()
	pid := s.begun()
	logPid := rig.Up(t, filepath.Join(s.dir, "log"))
	h.kill()
	kill(t, logPid, syscall.SIGKILL)
	dies(t, logPid)
	write(t, filepath.Join(s.dir, "go"), "")
	harness.Eventually(t, "it has written", func() bool { return read(filepath.Join(s.dir, "written")) != "" })
	h.open()
	s.same(pid, 1)
	harness.Eventually(t, "all is logged", func() bool { return strings.HasSuffix(read(log), "\n100\n") })
	contiguous(t, log)
}

// TestLeaving: a service that was told x is no longer supervised when it has ended, whoever supervises it by then.
func TestLeaving(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", long)
	h.open()
	pid := s.begun()
	s.svc("x")
	harness.Eventually(t, "it is leaving", func() bool { return s.info().Leave })
	h.again()
	s.same(pid, 1)
	if !s.info().Leave {
		t.Error("the x is forgotten")
	}
	kill(t, pid, syscall.SIGKILL)
	s.phase("gone")
}

// TestPace: a service that was to be started slowly still is.
func TestPace(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", "exit 1", "backoff", "100\n")
	h.open()
	harness.Eventually(t, "its pace is 4 s", func() bool { return s.info().Pace >= 4 })
	h.kill()
	s.edit("pace", "64") // longer than the test takes
	starts := s.starts()
	for range 3 {
		h.open()
		s.supervised()
		harness.Eventually(t, "it waits", func() bool { return s.info().Phase == "waiting" })
		if got := s.info().Pace; got < 64 {
			t.Errorf("the pace is %d s, was 64 s", got)
		}
		h.kill()
	}
	if got := s.starts(); got > starts+1 {
		t.Errorf("it was started %d times meanwhile", got-starts)
	}
}

// TestExitStatus: how a process ended that was taken over is known, where the kernel tells.
func TestExitStatus(t *testing.T) {
	needExitInfo(t)
	h := newHouse(t)
	exits := h.service("exits", "trap 'exit 7' TERM\necho >ready\nwhile :; do sleep 0.02; done", "down", "")
	killed := h.service("killed", long, "down", "")
	h.open()
	for _, s := range []*service{exits, killed} {
		s.supervised()
		s.svc("o")
	}
	killedPid, exitsPid := killed.begun(), exits.begun()
	harness.Eventually(t, "it is ready", func() bool { return read(filepath.Join(exits.dir, "ready")) != "" })
	h.again()
	exits.same(exitsPid, 1)
	killed.same(killedPid, 1)
	exits.svc("t")
	killed.svc("k")
	exits.phase("down")
	killed.phase("down")
	if i := exits.info(); i.Code == nil || *i.Code != 7 {
		t.Errorf("exit code: %+v", i)
	}
	if i := killed.info(); i.Signal == nil || *i.Signal != 9 {
		t.Errorf("signal: %+v", i)
	}
}

// TestDiedMeanwhile: what died while nobody looked is started again, once.
func TestDiedMeanwhile(t *testing.T) {
	ways(t, func(t *testing.T, h *house) {
		wanted := h.service("wanted", long)
		once := h.service("once", long, "down", "")
		h.open()
		pid := wanted.begun()
		once.supervised()
		once.svc("o")
		oncePid := once.begun()
		h.kill()
		for _, p := range []int{pid, oncePid} {
			kill(t, p, syscall.SIGKILL)
			dies(t, p)
		}
		h.open()
		if again := rig.NewPid(t, wanted.clients(), pid); again == 0 {
			t.Error("not started again")
		}
		wanted.begun()
		once.phase("down")
		h.again()
		wanted.same(wanted.begun(), 2)
		once.supervised()
		if once.starts() != 1 {
			t.Errorf("once was started %d times", once.starts())
		}
	})
}

// TestStoppedAtOnce: a daemon that is told to stop before it has found what an earlier one has left, ends that too.
func TestStoppedAtOnce(t *testing.T) {
	h := newHouse(t)
	var list []*service
	for i := range 20 {
		list = append(list, h.service(fmt.Sprintf("s%d", i), long))
	}
	for i := range 6 {
		h.open()
		for _, s := range list {
			s.supervised()
		}
		h.kill()
		h.open()
		h.listens()
		time.Sleep(time.Duration(i) * time.Millisecond) // a place in the resume, no wait for anything
		h.ends(0)
		for _, s := range list {
			harness.Eventually(t, "nothing is left of "+s.name(), func() bool { return working(s.dir) == 0 })
		}
	}
}

// TestNeverTwice: however early the daemon is killed, there is one copy of each service.
func TestNeverTwice(t *testing.T) {
	ways(t, func(t *testing.T, h *house) {
		var list []*service
		for i := range 20 {
			list = append(list, h.service(fmt.Sprintf("s%d", i), long))
		}
		for i := range 12 {
			h.open()
			time.Sleep(time.Duration(i) * 3 * time.Millisecond) // a place to be killed at, no wait for anything
			h.kill()
		}
		h.open()
		for _, s := range list {
			pid := s.begun()
			if n := working(s.dir); n != 1 {
				t.Errorf("%d processes work for %s, %d starts, pid %d", n, s.name(), s.starts(), pid)
			}
		}
		h.ends(0)
	})
}

// working is how many processes work in a directory.
func working(dir string) int { return len(workers(dir)) }

// workers are the processes that work in a directory.
func workers(dir string) (pids []int) {
	procs, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, p := range procs {
		pid := atoi(filepath.Base(filepath.Dir(p)))
		if at, err := os.Readlink(p); err == nil && at == dir && rig.Alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestMainCommand: the main command goes on, and its end is the daemon's.
func TestMainCommand(t *testing.T) {
	needExitInfo(t)
	h := newHouse(t)
	said := filepath.Join(h.top, "said")
	web := h.service("web", long)
	h.command = []string{"/bin/sh", "-c", "echo $$ >>" + said + "; trap 'exit 9' USR2; while :; do sleep 0.02; done"}
	h.open()
	pid := 0
	harness.Eventually(t, "the command runs", func() bool { pid = atoi(strings.TrimSpace(read(said))); return pid != 0 })
	recorded := func() bool {
		i, err := fsstate.ParseInfo([]byte(read(filepath.Join(h.root, ".upkeep", "command"))))
		return err == nil && i.Pid == pid && i.Phase == "up"
	}
	harness.Eventually(t, "the command is recorded", recorded)
	web.begun()
	for range 3 {
		h.again()
		web.supervised() // both come of the first scan, and the command before the service
	}
	harness.Eventually(t, "one command", func() bool { return strings.TrimSpace(read(said)) == fmt.Sprint(pid) && rig.Alive(pid) })
	kill(t, pid, syscall.SIGUSR2)
	if code := h.Wait(); code != 9 {
		t.Errorf("exit code %d, want the command's 9", code)
	}
}

// TestEssential: the end of an essential service that was taken over ends everything.
func TestEssential(t *testing.T) {
	needExitInfo(t)
	h := newHouse(t)
	s := h.service("web", "trap 'exit 5' USR2\necho >ready\nwhile :; do sleep 0.02; done", "essential", "")
	other := h.service("other", long)
	h.open()
	pid, otherPid := s.begun(), other.begun()
	harness.Eventually(t, "it is ready", func() bool { return read(filepath.Join(s.dir, "ready")) != "" })
	h.again()
	s.same(pid, 1)
	other.same(otherPid, 1)
	kill(t, pid, syscall.SIGUSR2)
	if code := h.Wait(); code != 5 {
		t.Errorf("exit code %d, want the service's 5", code)
	}
	dies(t, otherPid)
}

// TestAfterStop: what a daemon has ended in order is over: the next one begins anew.
func TestAfterStop(t *testing.T) {
	h := newHouse(t)
	s := h.service("web", long)
	off := h.service("off", long, "down", "")
	h.open()
	s.begun()
	off.supervised()
	s.svc("d")
	s.phase("down")
	off.svc("u")
	off.begun()
	h.ends(0)
	h.open()
	s.up()
	off.supervised()
	if v := off.view(); *v.Up {
		t.Errorf("a down file does not count after an orderly end: %+v", v)
	}
}

func needExitInfo(t *testing.T) {
	t.Helper()
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	major, minor := 0, 0
	fmt.Sscanf(string(bytes.TrimSpace(release)), "%d.%d", &major, &minor)
	if major < 6 || major == 6 && minor < 15 {
		harness.Skip(t, "the kernel does not tell how another one's child has ended")
	}
}
