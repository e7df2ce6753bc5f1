package supervisor

import (
	"slices"
	"testing"
	"time"
)

// TestControlScripts: a script is executed for its letter, before the signal or instead of it, and the letters
// that follow wait for it in their order.
func TestControlScripts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "")
	script := func(letter, text string) {
		g.write("control/"+letter, "#!/bin/sh\necho control "+letter+"\n"+text+"\n", 0o755)
	}
	script("u", "")
	script("h", "exit 0")
	script("a", "read line < go; exit 1")
	script("t", "exit 0")
	script("d", "exit 1")
	g.fifo("go")
	g.begin()
	g.says("control u", "start")
	g.until(Up)
	g.svc("h")
	g.says("control h")
	g.svc("a")
	g.says("control a")
	g.svc("1")
	g.svc("p")
	g.svc("c")
	h.until("the letters wait", func() bool { return len(g.s.deferred) == 3 })
	g.feed("go")
	if got, want := g.read(3), []string{"ALRM", "CONT", "USR1"}; !slices.Equal(got, want) {
		t.Errorf("it got %q, want %q", got, want)
	}
	g.svc("d") // without a signal
	g.says("control t", "control d", "CONT")
	g.until(Stopping)
	if i := g.info(); i.Term {
		t.Errorf("resume is %+v", i)
	}
	g.svc("k")
	g.until(Down)
	g.svc("u")
	g.says("control u", "start")
}

// TestServiceDiesWhileItsScriptRuns: it is started again, and then the letter is obeyed.
func TestServiceDiesWhileItsScriptRuns(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "")
	g.write("control/d", "#!/bin/sh\necho script\nread line < go\n", 0o755)
	g.fifo("go")
	g.begin()
	g.says("start")
	g.until(Up)
	h.do(func() { g.s.started = g.s.started.Add(-time.Minute) }) // it has lived for long
	g.svc("d")
	g.says("script")
	h.do(func() { g.s.host.Reaper.Signal(g.s.pid, 9, false) })
	g.says("start")
	g.until(Up)
	g.feed("go")
	g.until(Down)
}

// TestScriptForEver: k ends a script, and then the letters that have waited are obeyed.
func TestScriptForEver(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "", "stubborn")
	for _, letter := range []string{"u", "t", "d"} {
		g.write("control/"+letter, "#!/bin/sh\necho control "+letter+"\nexec cat never\n", 0o755)
	}
	g.fifo("never")
	g.begin()
	g.says("control u")
	g.svc("k")
	g.says("start")
	g.until(Up) // that k is used up
	g.svc("d")
	g.says("control t")
	g.svc("k")
	g.until(Down)
	if i := g.info(); i.Signal == nil || *i.Signal != 9 {
		t.Errorf("resume is %+v", i)
	}
}

// TestScriptForEverAtTheEnd: supervision ends when everything is killed, whatever scripts there are.
func TestScriptForEverAtTheEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "", "stubborn")
	g.begin()
	g.says("start")
	g.until(Up)
	for _, letter := range []string{"t", "d", "x"} {
		g.write("control/"+letter, "#!/bin/sh\necho control\nexec cat never\n", 0o755)
	}
	g.fifo("never")
	g.svc("t") // has the directory's old definition
	g.says("TERM")
	g.svc("k")
	g.says("start") // and this has the new one
	g.until(Up)
	h.do(g.s.Stop)
	g.says("control")
	h.until("it is released", func() bool { g.s.Kill(); return g.released }) // more than once, as the daemon does
}

// TestStopWhileControlURuns: nothing is started any more.
func TestStopWhileControlURuns(t *testing.T) {
	for _, killed := range []bool{false, true} {
		h := newHouse(t)
		g := h.guest("web", "")
		g.write("control/u", "#!/bin/sh\necho control u\nread line < go\n", 0o755)
		g.fifo("go")
		g.begin()
		g.says("control u")
		h.do(g.s.Stop)
		if killed {
			h.do(g.s.Kill)
		} else {
			g.feed("go")
		}
		h.until("it is released", func() bool { return g.released })
		if g.s.starts != 0 {
			t.Errorf("killed %v: it was started %d times", killed, g.s.starts)
		}
	}
}
