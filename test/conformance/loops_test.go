package conformance_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"upkeep/test/harness"
)

const dying = "#!/bin/sh\necho start $$ >>heard\nexit 1\n"

// TestLettersToCrashingService sends every letter to a service that dies at once, again and again.
func TestLettersToCrashingService(t *testing.T) {
	ends := map[rune]expectation{
		'd': same("down/d"),
		'o': {"down/o", but{"runit": {"down/d", diff("runit-once")}}},
		'x': same("gone"),
	}
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		services := map[rune]*service{}
		for _, l := range letters {
			services[l] = h.script("crash "+strings.ReplaceAll(string(l), "\n", "newline"), dying)
		}
		h.open()
		seen := map[rune]int{}
		for l, s := range services {
			harness.Eventually(t, s.name+" crashes", func() bool { return s.starts() >= 2 })
			if l == 'x' {
				h.unlist(s)
			}
			if l != 'x' || p.like != "runit" {
				s.send(string(l))
			}
			if l == 'p' {
				s.send("c") // the letter may have met a process in its short life, and holds that
			}
			seen[l] = s.starts()
		}
		for l, end := range ends {
			services[l].awaitState(end.on(p))
		}
		goOn := func(times int) {
			for l, s := range services {
				if _, ok := ends[l]; !ok {
					harness.Eventually(t, s.name+" goes on crashing", func() bool { return s.starts() >= seen[l]+times })
				}
			}
		}
		goOn(3)
		for l := range ends {
			seen[l] = services[l].starts()
		}
		goOn(4)
		for l, s := range services {
			if _, ok := ends[l]; ok && s.starts() != seen[l] {
				t.Errorf("%s: was started again after its end", s.name)
			} else if !ok && s.status()[17] != 'u' {
				t.Errorf("%s: not wanted up any more: % x", s.name, s.status())
			}
		}
		for l, s := range services {
			if _, ok := ends[l]; ok {
				continue
			}
			s.send("d")
			s.awaitState("down/d")
		}
	})
}

// TestLettersToMissingRun sends every letter to a service that can't be started, and then makes it
// possible: what comes up then is what was still wanted.
func TestLettersToMissingRun(t *testing.T) {
	ends := map[rune]expectation{
		'd': same("down/d"),
		'o': {"down/o", but{"runit": {"down/d", diff("runit-once")}}},
		'x': same("gone"),
	}
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		services := map[rune]*service{}
		for _, l := range letters {
			s := h.bare("empty " + strings.ReplaceAll(string(l), "\n", "newline"))
			services[l] = s
			h.list(s)
		}
		h.open()
		for l, s := range services {
			harness.Eventually(t, s.name+" is supervised", s.supervised)
			if l == 'x' {
				h.unlist(s)
			}
			if l != 'x' || p.like != "runit" {
				s.send(string(l))
			}
			if l == 'p' {
				s.send("c") // runsv's child lives for a moment before it finds nothing to execute
			}
		}
		for l, s := range services {
			if end, ok := ends[l]; ok {
				s.awaitState(end.on(p))
			}
			if l == 'o' && p.ours() { // the one attempt is recorded before it is over
				harness.Eventually(t, s.name+" is not being started any more", func() bool {
					info, _ := os.ReadFile(filepath.Join(s.dir, "supervise/resume"))
					return strings.Contains(string(info), " phase=down ")
				})
			}
		}
		if p.like == "runit" { // whose supervise says "down" before the one attempt of o
			tries := strings.Count(h.said(), "empty u")
			harness.Eventually(t, "the others go on", func() bool { return strings.Count(h.said(), "empty u") >= tries+3 })
		}
		for _, s := range services {
			s.become(plain)
		}
		for l, s := range services {
			if _, ok := ends[l]; !ok {
				s.await("up/u 1")
			}
		}
		for l, end := range ends {
			services[l].await(end.on(p) + " 0")
		}
	})
}
