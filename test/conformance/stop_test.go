package conformance_test

import (
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// TestTermToTheDaemon: svscan and runsvdir leave everything running, upkeep stops everything.
func TestTermToTheDaemon(t *testing.T) {
	for _, c := range []struct {
		signal    syscall.Signal
		code      map[string]int
		main, log expectation
	}{
		{syscall.SIGTERM,
			map[string]int{"daemontools": 143, "runit": 0, "upkeep": 0},
			expectation{"up/u 1", but{"upkeep": {"gone 1 TERM", diff("stop")}}},
			expectation{"up/u 1", but{"upkeep": {"gone 1", diff("stop")}}}}, // it sees the end of its input
		{syscall.SIGHUP,
			map[string]int{"daemontools": 129, "runit": 111, "upkeep": running},
			expectation{"up/u 1", but{"runit": {"gone 1 TERM", diff("stop")}}},
			expectation{"up/u 1", but{"runit": {"gone 1", diff("stop")}}}},
	} {
		t.Run(c.signal.String(), func(t *testing.T) {
			each(t, all, func(t *testing.T, p peer) {
				h := newHouse(t, p)
				down := h.service("down", plain)
				down.touch("down")
				s, log := h.logged("web", plain)
				h.open()
				s.await("up/u 1")
				log.await("up/u 1")
				down.await("down/d 0")
				h.daemon.Process.Signal(c.signal)
				if want := c.code[p.like]; want == running {
					late := h.service("late", plain) // HUP is a reason to look again, and no more
					late.await("up/u 1")
				} else if code := h.daemon.Wait(); code != want {
					t.Errorf("the daemon ended with code %d instead of %d", code, want)
				}
				s.await(c.main.on(p))
				log.await(c.log.on(p))
				if p.ours() && c.signal == syscall.SIGTERM {
					down.await("gone 0")
					if left := h.residents(); len(left) > 0 {
						t.Errorf("processes left: %v", left)
					}
				}
			})
		})
	}
}

const running = -1

// TestTermToSupervise: the original dies and leaves an orphan, runsv and upkeep stop the service.
func TestTermToSupervise(t *testing.T) {
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("web", plain)
		supervise := h.start(p.supervise(t, s.dir))
		s.await("up/u 1")
		supervise.Process.Signal(syscall.SIGTERM)
		code := supervise.Wait()
		if p.like == "daemontools" { // diff("stop")
			if code != 143 {
				t.Errorf("code %d", code)
			}
			s.await("gone 1")
			if processState(s.pid()) == 0 {
				t.Error("the service has ended, too")
			}
			syscall.Kill(s.pid(), syscall.SIGTERM)
			harness.Eventually(t, "the orphan ends", func() bool { return processState(s.pid()) == 0 })
			return
		}
		if code != 0 {
			t.Errorf("code %d", code)
		}
		s.await("gone 1 TERM")
	})
}

// TestKilledSupervisor: after a KILL the service runs on. A new supervisor starts a second one; upkeep goes on
// with the one that is there.
func TestKilledSupervisor(t *testing.T) {
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("web", plain)
		first := h.start(p.supervise(t, s.dir))
		s.await("up/u 1")
		orphan := s.pid()
		first.Process.Kill()
		first.Wait()
		s.await("gone 1")
		s.checkSvstat()
		if processState(orphan) == 0 {
			t.Fatal("the service has ended, too")
		}
		h.start(p.supervise(t, s.dir))
		if p.name == "upkeep" { // diff("resume")
			s.await("up/u 1")
			if s.pid() != orphan {
				t.Errorf("pid %d went on as %d", orphan, s.pid())
			}
			syscall.Kill(orphan, syscall.SIGTERM)
			s.await("up/u 2 TERM")
			return
		}
		s.await("up/u 2")
		syscall.Kill(orphan, syscall.SIGTERM)
		s.await("up/u 2 TERM")
		harness.Eventually(t, "the orphan has ended", func() bool { return processState(orphan) == 0 })
	})
}
