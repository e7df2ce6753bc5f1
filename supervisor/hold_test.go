package supervisor

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"upkeep/fsstate"
)

// TestTrigger: the start waits, visibly, for a file to name a living process, and letters work meanwhile.
func TestTrigger(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	at := filepath.Join(t.TempDir(), "sub", "web.pid")
	g := h.guest("web", "#!/bin/sh\necho run\nread l < go\n", "trigger="+at+"\n")
	g.fifo("go")
	g.begin()
	held := func() bool { return g.s.state.Phase == Waiting && g.s.state.Held }
	h.until("it waits", held)
	if i := g.info(); i.Phase != "waiting" || !strings.Contains(i.Cause, at) || *i.Want != fsstate.WantUp {
		t.Errorf("resume is %+v", i)
	}
	g.svc("d")
	g.until(Down)
	g.svc("u")
	h.until("it waits again", held)

	if err := os.Mkdir(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte("0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.until("it knows of the file", func() bool { return strings.Contains(g.s.held, "names no process") })
	os.Remove(at)
	h.until("it knows that the file is gone", func() bool { return strings.Contains(g.s.held, "does not exist") })
	if err := os.WriteFile(at, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		t.Fatal(err)
	}
	g.says("run")
	g.until(Up)
	if said := h.heard(); len(said) != 2 {
		t.Errorf("it was said %q, want once for each time that it began to wait", said)
	}

	os.Remove(at)
	g.svc("t")
	h.until("it waits before it is started again", held)
	g.svc("x")
	h.until("it is gone", func() bool { return g.released })
}

// TestStaleLook: what a look at the trigger has found holds up no start that was begun meanwhile. It would be made a
// second time.
func TestStaleLook(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\necho $$ >>pids\necho run\nread l < go\n", "trigger=never")
	g.fifo("go")
	free := false // the goroutine's
	g.s.Order = func([]string, fsstate.Trigger) (string, bool) { return "", free }
	g.begin()
	h.until("it waits", func() bool { return g.s.state.Held })
	h.do(func() {
		g.s.Reconsider()
		looked := make(chan struct{})
		g.s.lane.Do(func() { close(looked) })
		<-looked
		free = true
		g.s.Reconsider()
	})
	h.do(func() { g.s.Reconsider() })
	g.says("run")
	g.until(Up)
	g.written()
	if pids, err := os.ReadFile(g.file("pids")); err != nil || strings.Count(string(pids), "\n") != 1 {
		t.Errorf("it was started as %q, %v", pids, err)
	}
}

// TestChangeBeforeTheHold: what the trigger looks at may change when that was just looked at, and it is not yet waited
// for.
func TestChangeBeforeTheHold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\necho run\nread l < go\n", "trigger=pid")
	g.fifo("go")
	g.begin()
	h.until("it waits", func() bool { return g.s.state.Held })
	h.do(func() {
		g.s.event(Event{Kind: Unheld})
		looked := make(chan struct{})
		g.s.lane.Do(func() { g.s.unwatch(); close(looked) }) // the news comes by hand
		<-looked
		g.write("pid", strconv.Itoa(os.Getpid()), 0o644)
		g.s.lookSoon()
	})
	g.says("run")
	g.until(Up)
}

// TestTriggerOnItself never comes, and harms nobody.
func TestTriggerOnItself(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\necho run\n", "trigger=supervise/status")
	g.begin()
	h.until("it waits", func() bool { return g.s.state.Held })
	g.svc("d")
	g.until(Down)
}

// TestOrder: what comes after others waits until it is told that they are there, whenever the file came.
func TestOrder(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\necho run\nread l < go\n", "after=db")
	g.fifo("go")
	missing := []string{"db", "cache"} // the goroutine's
	g.s.Order = func(after []string, _ fsstate.Trigger) (string, bool) {
		for _, name := range after {
			if slices.Contains(missing, name) {
				return name + ", which is down", false
			}
		}
		return "", false
	}
	come := func(name string) {
		h.do(func() {
			missing = slices.DeleteFunc(missing, func(n string) bool { return n == name })
			g.s.Reconsider()
		})
	}
	g.begin()
	h.until("it waits for db", func() bool { return g.s.held == "db, which is down" })
	g.write("after", "db\ncache\n", 0o644)
	come("db")
	h.until("it waits for cache", func() bool { return g.s.held == "cache, which is down" })
	come("cache")
	g.says("run")
	g.until(Up)
	if i := g.info(); i.Cause != "" {
		t.Errorf("resume is %+v", i)
	}
}
