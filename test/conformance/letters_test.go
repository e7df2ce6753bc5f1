package conformance_test

import (
	"strings"
	"testing"

	"upkeep/test/harness"
)

// letters are the commands that can be written into supervise/control: those of daemontools, those that
// encore and runit add, and two that mean nothing to anybody.
const letters = "udoxpchaitkq12wZ\n"

// What svc can send; the others are written straight into the FIFO.
const svcLetters = "udoxpchaitk"

// A situation is a state to which every letter is sent. Letters that aren't mentioned change nothing.
type situation struct {
	name    string
	enter   func(s *service) // brings a supervised service into the state
	make    func(h *house, name string) *service
	see     expectation
	letters map[rune]expectation
	then    string // sent after the letter, where its effect shows only then
	after   map[rune]expectation
	end     expectation
}

var situations = []situation{{
	name:  "up",
	make:  func(h *house, name string) *service { return h.service(name, plain) },
	enter: func(s *service) {},
	see:   same("up/u 1"),
	letters: map[rune]expectation{
		'd': same("down/d 1 TERM"),
		'o': {"up/o 1", but{"runit": {"up/d 1", diff("runit-once")}}},
		'x': {"up/u 1", but{"runit": {"gone 1 TERM", diff("runit-exit")}}},
		'p': same("up/u paused 1"),
		'h': same("up/u 1 HUP"),
		'a': same("up/u 1 ALRM"),
		'i': same("up/u 1 INT"),
		't': same("up/u 2 TERM"),
		'k': same("up/u 2"),
		'q': more("up/u 1", "QUIT"),
		'1': more("up/u 1", "USR1"),
		'2': more("up/u 1", "USR2"),
		'w': winch("up/u 1", "WINCH"),
	},
}, {
	name:  "down",
	make:  func(h *house, name string) *service { return h.service(name, plain) },
	enter: func(s *service) { s.await("up/u 1"); s.send("d") },
	see:   same("down/d 1 TERM"),
	letters: map[rune]expectation{
		'u': same("up/u 2 TERM"),
		'o': {"up/o 2 TERM", but{"runit": {"up/d 2 TERM", diff("runit-once")}}},
		'x': same("gone 1 TERM"),
	},
}, {
	name:  "paused",
	make:  func(h *house, name string) *service { return h.service(name, plain) },
	enter: func(s *service) { s.await("up/u 1"); s.send("p") },
	see:   same("up/u paused 1"),
	letters: map[rune]expectation{
		'd': same("down/d 1 TERM"),
		'o': {"up/o paused 1", but{"runit": {"up/d paused 1", diff("runit-once")}}},
		'x': {"up/u paused 1", but{"runit": {"gone 1 TERM", diff("runit-exit")}}},
		'c': same("up/u 1"),
		'k': same("up/u 2"),
	},
	then: "c",
	after: map[rune]expectation{
		'd': same("down/d 1 TERM"),
		'o': {"up/o 1", but{"runit": {"up/d 1", diff("runit-once")}}},
		'x': {"up/u 1", but{"runit": {"gone 1 TERM", diff("runit-exit")}}},
		'h': same("up/u 1 HUP"),
		'a': same("up/u 1 ALRM"),
		'i': same("up/u 1 INT"),
		't': same("up/u 2 TERM"),
		'k': same("up/u 2"),
		'q': more("up/u 1", "QUIT"),
		'1': more("up/u 1", "USR1"),
		'2': more("up/u 1", "USR2"),
		'w': winch("up/u 1", "WINCH"),
	},
	end: same("up/u 1"),
}, {
	name:  "once",
	make:  func(h *house, name string) *service { s := h.service(name, plain); s.touch("down"); return s },
	enter: func(s *service) { s.await("down/d 0"); s.send("o") },
	see:   expectation{"up/o 1", but{"runit": {"up/d 1", diff("runit-once")}}},
	letters: map[rune]expectation{
		'u': same("up/u 1"),
		'd': same("down/d 1 TERM"),
		'x': {"up/o 1", but{"runit": {"gone 1 TERM", diff("runit-exit")}}},
		'p': {"up/o paused 1", but{"runit": {"up/d paused 1", diff("runit-once")}}},
		'h': {"up/o 1 HUP", but{"runit": {"up/d 1 HUP", diff("runit-once")}}},
		'a': {"up/o 1 ALRM", but{"runit": {"up/d 1 ALRM", diff("runit-once")}}},
		'i': {"up/o 1 INT", but{"runit": {"up/d 1 INT", diff("runit-once")}}},
		't': {"down/o 1 TERM", but{"runit": {"down/d 1 TERM", diff("runit-once")}}},
		'k': {"down/o 1", but{"runit": {"down/d 1", diff("runit-once")}}},
		'q': {"up/o 1", but{"runit": {"up/d 1 QUIT", diff("runit-once")}, "upkeep": {"up/o 1 QUIT", diff("more-letters")}}},
		'1': {"up/o 1", but{"runit": {"up/d 1 USR1", diff("runit-once")}, "upkeep": {"up/o 1 USR1", diff("more-letters")}}},
		'2': {"up/o 1", but{"runit": {"up/d 1 USR2", diff("runit-once")}, "upkeep": {"up/o 1 USR2", diff("more-letters")}}},
		'w': {"up/o 1", but{"runit": {"up/d 1", diff("runit-once")}, "upkeep": {"up/o 1 WINCH", diff("more-letters")}}},
	},
}, {
	name:  "wanted down but running",
	make:  func(h *house, name string) *service { return h.service(name, stubborn) },
	enter: func(s *service) { s.await("up/u 1"); s.send("d") },
	see:   same("up/d 1 CONT TERM"),
	letters: map[rune]expectation{
		'u': same("up/u 1 CONT TERM"),
		'd': same("up/d 1 CONT CONT TERM TERM"),
		'o': {"up/o 1 CONT TERM", but{"runit": {"up/d 1 CONT TERM", diff("runit-once")}}},
		'x': {"up/d 1 CONT TERM", but{"runit": {"up/d 1 CONT CONT TERM TERM", diff("runit-exit")}}},
		'p': same("up/d paused 1 CONT TERM"),
		'c': same("up/d 1 CONT CONT TERM"),
		'h': same("up/d 1 CONT HUP TERM"),
		'a': same("up/d 1 ALRM CONT TERM"),
		'i': same("up/d 1 CONT INT TERM"),
		't': {"up/d 1 CONT TERM TERM", but{"runit": {"up/d 1 CONT CONT TERM TERM", diff("runit-term")}}},
		'k': same("down/d 1 CONT TERM"),
		'q': {"up/d 1 CONT TERM", but{"runit": {"up/d 1 CONT QUIT TERM", diff("more-letters")}, "upkeep": {"up/d 1 CONT QUIT TERM", diff("more-letters")}}},
		'1': more("up/d 1 CONT TERM", "USR1"),
		'2': more("up/d 1 CONT TERM", "USR2"),
		'w': winch("up/d 1 CONT TERM", "WINCH"),
	},
}}

// more is a signal that daemontools can't send, runit and upkeep can.
func more(see, signal string) expectation {
	x := exception{see + " " + signal, diff("more-letters")}
	return expectation{see, but{"runit": x, "upkeep": x}}
}

// winch is a signal that only encore and upkeep can send.
func winch(see, signal string) expectation {
	return expectation{see, but{"upkeep": {see + " " + signal, diff("more-letters")}}}
}

// TestLetters sends every letter in every situation. Every service ends with "xk", of which no process
// hears anything, so that what it has heard by then is all that the letter made it hear.
func TestLetters(t *testing.T) {
	each(t, []peer{daemontools, runit, upkeep, foreignClients}, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		type cell struct {
			*service
			in     situation
			letter rune
		}
		var cells []cell
		for _, in := range situations {
			for _, l := range letters {
				name := in.name + " " + strings.ReplaceAll(string(l), "\n", "newline")
				cells = append(cells, cell{in.make(h, name), in, l})
			}
		}
		expect := func(c cell, changed map[rune]expectation, unchanged expectation) string {
			if e, ok := changed[c.letter]; ok {
				return e.on(p)
			}
			return unchanged.on(p)
		}
		h.open()
		for _, c := range cells {
			harness.Eventually(t, c.name+" is supervised", c.supervised)
		}
		for _, c := range cells {
			c.in.enter(c.service)
		}
		for _, c := range cells {
			c.await(c.in.see.on(p))
		}
		for _, c := range cells {
			if c.letter == 'x' { // or it would be taken up again
				h.unlist(c.service)
				if p.like == "runit" {
					continue // runsvdir does the rest
				}
			}
			if strings.ContainsRune(svcLetters, c.letter) {
				c.svc("-" + string(c.letter))
			} else {
				c.send(string(c.letter))
			}
		}
		for _, c := range cells {
			c.await(expect(c, c.in.letters, c.in.see))
			c.checkSvstat()
		}
		for _, c := range cells {
			if c.in.then != "" && c.supervised() {
				c.send(c.in.then)
			}
		}
		for _, c := range cells {
			if c.in.then != "" {
				c.await(expect(c, c.in.after, c.in.end))
			}
		}
		if p.like == "runit" {
			return // its x is heard as TERM
		}
		for _, c := range cells {
			if c.letter != 'x' {
				h.unlist(c.service)
			}
		}
		for _, c := range cells {
			before := c.tally()
			if c.supervised() {
				c.send("xk")
			}
			c.await("gone " + before)
		}
	})
}
