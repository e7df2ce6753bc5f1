package pid1_test

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// TestStop: the stop signals give every service TERM, and the end comes when the last one has gone.
func TestStop(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGPWR} {
		t.Run(sig.String(), func(t *testing.T) {
			everywhere(t, func(t *testing.T, w world) {
				root, said := t.TempDir(), t.TempDir()
				for _, name := range []string{"a", "b"} {
					file := filepath.Join(said, name)
					rig.Service(t, root, name, sh("trap 'echo TERM >>"+file+"; exit 0' TERM", "echo up >"+file, "while :; do sleep 0.1; done"))
				}
				d := w.start(t, []string{"--stop-timeout=60s", root})
				holds(t, filepath.Join(said, "a"), "up")
				holds(t, filepath.Join(said, "b"), "up")
				d.ends(sig, slack, 0)
				holds(t, filepath.Join(said, "a"), "up", "TERM")
				holds(t, filepath.Join(said, "b"), "up", "TERM")
			})
		})
	}
}

// TestStopOfStopped: a service that was stopped with SIGSTOP can end all the same.
func TestStopOfStopped(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		root := t.TempDir()
		rig.Service(t, root, "web", rig.Sleeper)
		d := w.start(t, []string{"--stop-timeout=60s", root})
		pid := d.member("sleep").pid
		syscall.Kill(pid, syscall.SIGSTOP)
		harness.Eventually(t, "it is stopped", func() bool { return rig.ProcState(pid) == "T" })
		d.ends(syscall.SIGTERM, slack, 0)
	})
}

// TestDeadline: who ignores TERM is killed when the time is over, and not much before.
func TestDeadline(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		root, up := t.TempDir(), filepath.Join(t.TempDir(), "up")
		rig.Service(t, root, "stubborn", sh("trap '' TERM", "echo up >"+up, "exec sleep 1000000"))
		rig.Service(t, root, "web", rig.Sleeper)
		d := w.start(t, []string{"--stop-timeout=2s", root})
		holds(t, up, "up")
		begin := time.Now()
		d.ends(syscall.SIGTERM, 2*time.Second+slack, 0)
		if took := time.Since(begin); took < time.Second {
			t.Errorf("it had no time to end: %v", took)
		}
	})
}

// TestQuit: QUIT does not wait for anyone longer than a second, whatever the time to stop is.
func TestQuit(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		root, up := t.TempDir(), filepath.Join(t.TempDir(), "up")
		rig.Service(t, root, "stubborn", sh("trap '' TERM", "echo up >"+up, "exec sleep 1000000"))
		d := w.start(t, []string{"--stop-timeout=60s", root})
		holds(t, up, "up")
		d.ends(syscall.SIGQUIT, time.Second+slack, 0)
	})
}

// TestHurry: QUIT after TERM shortens the time to stop.
func TestHurry(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		root, up := t.TempDir(), filepath.Join(t.TempDir(), "up")
		rig.Service(t, root, "stubborn", sh("trap 'echo TERM >>"+up+"' TERM", "echo up >"+up, "while :; do sleep 0.1; done"))
		d := w.start(t, []string{"--stop-timeout=60s", root})
		holds(t, up, "up")
		syscall.Kill(d.Pid(), syscall.SIGTERM)
		holds(t, up, "up", "TERM")
		d.ends(syscall.SIGQUIT, time.Second+slack, 0)
	})
}

// TestLastWords: what a service says at its end still reaches its logger.
func TestLastWords(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		root, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
		rig.Service(t, root, "web", sh("trap 'echo last words; exit 0' TERM", "echo first words", "while :; do sleep 0.1; done"),
			"log/run", sh("exec cat >>"+log))
		d := w.start(t, []string{"--stop-timeout=60s", root})
		holds(t, log, "first words")
		d.ends(syscall.SIGTERM, slack, 0)
		holds(t, log, "first words", "last words")
	})
}

// TestEssential: the end of an essential service is the end of everything, unless it was asked for.
func TestEssential(t *testing.T) {
	for end, code := range map[string]int{"exit 0": 0, "exit 3": 3, "kill -KILL $$": 128 + 9, "kill -TERM $$": 128 + 15} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			everywhere(t, func(t *testing.T, w world) {
				root, dir := t.TempDir(), t.TempDir()
				up, now := filepath.Join(dir, "up"), filepath.Join(dir, "now")
				rig.Service(t, root, "web", sh("echo up >"+up, "exec sleep 1000000"))
				// Not before the other service is there to be stopped.
				rig.Service(t, root, "main", sh("while [ ! -e "+now+" ]; do sleep 0.05; done", end), "essential", "")
				d := w.start(t, []string{"--stop-timeout=60s", root})
				holds(t, up, "up")
				harness.WriteFile(t, now, "", 0o644)
				if got := d.Wait(); got != code {
					t.Errorf("exit code %d, want %d", got, code)
				}
				d.nobodyLeft()
			})
		})
	}
}

func TestEssentialAskedToEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		root, bin := t.TempDir(), t.TempDir()
		rig.Service(t, root, "web", sh("exec "+named(t, bin, "web")+" 1000000"))
		main := rig.Service(t, root, "main", sh("exec "+named(t, bin, "main")+" 1000000"), "essential", "")
		d := w.start(t, []string{"--stop-timeout=60s", root})
		web, first := d.member("web"), d.member("main")
		rig.Svc(t, "d", main)
		rig.Down(t, main)
		rig.Svc(t, "u", main)
		if again := d.member("main"); again.pid == first.pid {
			t.Error("main did not end")
		}
		if now := d.member("web"); now.pid != web.pid {
			t.Errorf("web was %v and is %v", web, now)
		}
		d.ends(syscall.SIGTERM, slack, 0)
	})
}

// TestLetters: clients reach the services of a daemon that sees other pids than they do.
func TestLetters(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		root := t.TempDir()
		web := rig.Service(t, root, "web", rig.Sleeper)
		d := w.start(t, []string{root})
		old := d.member("sleep")
		for _, letter := range []string{"t", "k", "i"} {
			rig.Svc(t, letter, web)
			harness.Eventually(t, "it is restarted", func() bool { return d.member("sleep").pid != old.pid })
			old = d.member("sleep")
		}
		rig.Svc(t, "p", web)
		harness.Eventually(t, "it is stopped", func() bool { return rig.ProcState(old.pid) == "T" })
		rig.Svc(t, "c", web)
		harness.Eventually(t, "it goes on", func() bool { return rig.ProcState(old.pid) == "S" })
		rig.Svc(t, "d", web)
		rig.Down(t, web)
		if w.proc && w.pid1 {
			rig.Svc(t, "u", web)
			harness.Eventually(t, "the status has a pid of the new namespace", func() bool {
				s, ok := rig.StatusOf(filepath.Join(web, "supervise"))
				return ok && s.Pid > 1 && s.Pid <= 1000
			})
		}
		d.ends(syscall.SIGTERM, slack, 0)
	})
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"--nonsense"}, {"/a", "/b"}, {"--stop-timeout=soon"}, {"--status=other"}} {
		if out, code := harness.Run(t, harness.Bin(t, "upkeep"), args...); code != 100 || out == "" {
			t.Errorf("%v: exit %d, %q", args, code, fmt.Sprint(out))
		}
	}
}
