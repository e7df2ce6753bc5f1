package supervisor

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/logpipe"
)

// TestLettersToALoggerThatIsNotTaken wait until it is.
func TestLettersToALoggerThatIsNotTaken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	web, log := h.guest("web", sleeper), h.guest("log", sleeper)
	h.do(func() { web.s.SetLog(log.s) })
	web.begin()
	web.says("start")
	web.until(Up)
	release := log.block()
	log.begin()
	web.svc("Lup")
	h.until("web has got them", func() bool { return len(log.s.deferred) > 0 || log.s.state != (State{}) })
	release()
	h.until("the logger is paused", func() bool { return log.s.state.Paused })
	log.svc("c")
	log.says("start")
	h.until("c is heard", func() bool { return !log.s.state.Paused })
	log.written()
	h.do(func() {
		if log.s.starts != 1 {
			t.Errorf("the logger was started %d times", log.s.starts)
		}
	})
}

func TestLettersToALoggerThatIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	web, log := h.guest("web", sleeper), h.guest("log", sleeper)
	d, err := fsstate.Take(log.dir, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	h.do(func() { web.s.SetLog(log.s) })
	release := log.block()
	log.begin()
	h.do(func() { web.s.Letters("Lut") })
	release()
	h.until("it is refused", func() bool { return log.refused != nil })
	log.written()
}

// TestRetryAndTheEnd: what was to be recorded again is not, once the directory is given up.
func TestRetryAndTheEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", sleeper, "down")
	os.MkdirAll(g.super("status.new"), 0o700)
	g.begin()
	h.until("it is taken", func() bool { return g.taken })
	g.written()
	h.do(func() {
		g.s.Retry()
		done := make(chan struct{})
		g.s.lane.Do(func() { close(done) })
		<-done // Retry's answer is in the mailbox now
		g.s.Letters("x")
	})
	h.until("it is released", func() bool { return g.released })
	g.written()
	h.do(func() {})
	g.written()
	os.Remove(g.super("status.new"))
	if err := g.free(); err != nil {
		t.Error(err)
	}
}

// TestAnotherDirectoryInItsPlace while it waits for its next start.
func TestAnotherDirectoryInItsPlace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\necho old\nexit 1\n")
	g.begin()
	g.says("old")
	g.until(Waiting)
	g.written()
	moved := g.dir + ".old"
	if err := os.Rename(g.dir, moved); err != nil {
		t.Fatal(err)
	}
	os.Mkdir(g.dir, 0o755)
	g.write("run", "#!/bin/sh\necho new\nexit 1\n", 0o755)
	g.says("old", "old")
	g.dir = moved
}

// TestABusyLane is not all that is served.
func TestABusyLane(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := &Pool{}
		busy := p.NewLane()
		quit := false
		var again func()
		again = func() {
			time.Sleep(time.Millisecond)
			if !quit {
				busy.Do(again)
			}
		}
		busy.Do(again)
		served := make(chan struct{})
		p.NewLane().Do(func() { close(served) })
		select {
		case <-served:
		case <-time.After(time.Minute):
			t.Error("a lane waits for ever, because another one is never empty")
		}
		busy.Do(func() { quit = true })
		time.Sleep(time.Minute)
	})
}

// TestDrainWhileStarting: a logger that is just being started again reads what is left, too.
func TestDrainWhileStarting(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("log", "#!/bin/sh\nexec cat\n", "down")
	p, err := logpipe.Open(filepath.Join(t.TempDir(), "logpipe"))
	if err != nil {
		t.Fatal(err)
	}
	h.do(func() { g.s.Pipe, g.s.Logger = p, true })
	g.begin()
	h.until("it is taken", func() bool { return g.taken })
	release := g.block()
	defer release()
	g.svc("u")
	g.until(Starting)
	w, err := p.Writer()
	if err != nil {
		t.Fatal(err)
	}
	unix.Write(w, []byte("last line\n"))
	unix.Close(w)
	h.do(g.s.Drain)
	release()
	g.says("last line")
	h.until("it is released", func() bool { return g.released })
}

// TestAPanicInAStep can be recovered from at the root of its goroutine: the lock is as it was.
func TestAPanicInAStep(t *testing.T) {
	p := &Pool{}
	recovered := func() (r any) {
		defer func() { r = recover() }()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.unlocked(p.NewLane(), func() { panic("a step") })
		return nil
	}()
	if recovered != "a step" {
		t.Errorf("recovered %v", recovered)
	}
}
