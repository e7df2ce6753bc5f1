package conformance_test

import (
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// What several letters in one write do. Letters act one after the other.
var batches = []struct {
	situation string
	letters   string
	see       expectation
	then      string // sent afterwards, to show what is still in force
	end       expectation
}{
	{"up", "dx", same("gone 1 TERM"), "", expectation{}},
	{"up", "xd", expectation{"gone 1 TERM", but{"runit": {"down/d 1 TERM", diff("runit-exit")}}}, "", expectation{}},
	{"up", "ldx", same("gone 1 TERM"), "", expectation{}}, // as encore's svc sends it
	{"up", "d\nx\n", same("gone 1 TERM"), "", expectation{}},
	{"up", "ud", same("down/d 1 TERM"), "", expectation{}},
	{"up", "du", same("up/u 2 TERM"), "", expectation{}},
	{"up", "adu", same("up/u 2 ALRM TERM"), "", expectation{}},
	{"up", "hai", same("up/u 1 ALRM HUP INT"), "", expectation{}},
	{"up", "pk", same("up/u 2"), "", expectation{}},
	{"up", "pc", same("up/u 1"), "h", same("up/u 1 HUP")},
	{"up", "pd", same("down/d 1 TERM"), "", expectation{}},
	{"up", "pdu", same("up/u 2 TERM"), "", expectation{}},
	{"up", "pt", same("up/u paused 1"), "c", same("up/u 2 TERM")},
	{"up", "ph", same("up/u paused 1"), "c", same("up/u 1 HUP")},
	{"up", "udo", once("down", "1 TERM"), "", expectation{}},
	{"up", "do", once("down", "1 TERM"), "", expectation{}},
	{"up", "ou", same("up/u 1"), "t", same("up/u 2 TERM")},
	{"up", "ok", once("down", "1"), "", expectation{}},
	{"up", "ot", once("down", "1 TERM"), "", expectation{}},
	{"up", "op", once("up", "paused 1"), "k", once("down", "1")},
	{"up", "ox", expectation{"up/o 1", but{"runit": {"gone 1 TERM", diff("runit-exit")}}}, "k", same("gone 1")},
	{"up", "xu", expectation{"up/u 1", but{"runit": {"up/u 2 TERM", diff("runit-exit")}}}, "k", same("gone 1")},
	{"up", "xk", expectation{"gone 1", but{"runit": {"gone", diff("runit-exit")}}}, "", expectation{}},
	{"up", "uuuu", same("up/u 1"), "", expectation{}},
	{"up", "ZhZ", same("up/u 1 HUP"), "", expectation{}},
	{"down", "uu", same("up/u 2 TERM"), "", expectation{}},
	{"down", "du", same("up/u 2 TERM"), "", expectation{}},
	{"down", "pu", same("up/u 2 TERM"), "", expectation{}},
	{"down", "ktu", same("up/u 2 TERM"), "", expectation{}},
	{"down", "ux", expectation{"up/u 2 TERM", but{"runit": {"gone", diff("runit-exit")}}}, "k", same("gone 2 TERM")},
	{"down", "ox", expectation{"up/o 2 TERM", but{"runit": {"gone", diff("runit-exit")}}}, "k", same("gone 2 TERM")},
	{"down", "xu", same("gone 1 TERM"), "", expectation{}},
	{"down", "dx", same("gone 1 TERM"), "", expectation{}},
	{"paused", "cd", same("down/d 1 TERM"), "", expectation{}},
	{"paused", "du", same("up/u 2 TERM"), "", expectation{}},
	{"paused", "dx", same("gone 1 TERM"), "", expectation{}},
	{"paused", "xc", expectation{"up/u 1", but{"runit": {"gone 1 TERM", diff("runit-exit")}}}, "k", same("gone 1")},
	{"paused", "cpc", same("up/u 1"), "h", same("up/u 1 HUP")},
	{"once", "pk", once("down", "1"), "", expectation{}},
	{"once", "dx", same("gone 1 TERM"), "", expectation{}},
	{"once", "du", same("up/u 2 TERM"), "", expectation{}},
	{"wanted down but running", "uk", same("up/u 2 CONT TERM"), "", expectation{}},
	{"wanted down but running", "ok", once("down", "1 CONT TERM"), "", expectation{}},
	{"wanted down but running", "kx", expectation{"gone 1 CONT TERM", but{"runit": {"gone", diff("runit-exit")}}}, "", expectation{}},
	{"wanted down but running", "pk", same("down/d 1 CONT TERM"), "", expectation{}},
}

// once is a state in which byte 17 is 0, or d with runit.
func once(state, rest string) expectation {
	return expectation{state + "/o " + rest, but{"runit": {state + "/d " + rest, diff("runit-once")}}}
}

// TestBatches writes several letters at once. The services aren't listed by then, so that a supervisor
// that leaves stays away; runsvdir would end them, which is why runsv stands alone here.
func TestBatches(t *testing.T) {
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		services := make([]*service, len(batches))
		where := make([]situation, len(batches))
		for i, b := range batches {
			for _, s := range situations {
				if s.name == b.situation {
					where[i] = s
				}
			}
			services[i] = where[i].make(h, b.situation+" "+b.letters)
			if p.like == "runit" {
				h.start(p.supervise(t, services[i].dir))
			}
		}
		if p.like != "runit" {
			h.open()
		}
		for i, s := range services {
			harness.Eventually(t, s.name+" is supervised", s.supervised)
			h.unlist(s)
			where[i].enter(s)
		}
		for i, s := range services {
			s.await(where[i].see.on(p))
		}
		for i, s := range services {
			s.send(batches[i].letters)
		}
		for i, s := range services {
			if p.like == "runit" && strings.HasSuffix(batches[i].letters, "do") {
				continue // runsv reaps between two letters, so that the o may find a service that has ended
			}
			want := batches[i].see.on(p)
			if want == "gone" { // what it has heard is left to chance
				s.awaitState(want)
				continue
			}
			s.await(want)
		}
		for i, s := range services {
			if batches[i].then != "" && s.supervised() {
				s.send(batches[i].then)
			}
		}
		for i, s := range services {
			if batches[i].then != "" && !strings.HasPrefix(batches[i].see.on(p), "gone") && p.like != "runit" {
				s.await(batches[i].end.on(p))
			}
		}
	})
}

// TestPauseEndsWithTheProcess kills a paused service from outside: its successor isn't paused.
func TestPauseEndsWithTheProcess(t *testing.T) {
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("web", plain)
		h.open()
		s.await("up/u 1")
		s.send("p")
		s.await("up/u paused 1")
		syscall.Kill(s.pid(), syscall.SIGKILL)
		s.await("up/u 2")
		s.send("h")
		s.await("up/u 2 HUP")
	})
}
