package supervisor

import (
	"strings"
	"testing"

	"upkeep/fsstate"
	"upkeep/reaper"
)

// TestNotificationFD: the first newline means that it is ready, and what follows is read.
func TestNotificationFD(t *testing.T) {
	for _, fd := range []string{"1", "3", "9"} {
		t.Run(fd, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			script := "#!/bin/sh\nread l < one; printf almost >&FD; read l < two; echo >&FD; read l < three\n" +
				"head -c 300000 /dev/zero >&FD; read l < four; read l < five\n"
			g := h.guest("web", strings.ReplaceAll(script, "FD", fd), "notification-fd="+fd)
			for _, f := range []string{"one", "two", "three", "four", "five"} {
				g.fifo(f)
			}
			g.begin()
			g.until(Up)
			g.feed("one")
			g.feed("two") // it has written by now
			g.until(Ready)
			if s, err := fsstate.ParseStatus(g.status()); err != nil || !s.Ready || s.Phase != fsstate.PhaseRun {
				t.Errorf("the status is %+v, %v", s, err)
			}
			if i := g.info(); i.Phase != "ready" {
				t.Errorf("resume is %+v", i)
			}
			g.feed("three")
			g.feed("four") // nothing has kept it from that
			g.feed("five")
			h.until("it has ended", func() bool { return g.s.state.Phase != Ready && g.s.notice == nil })
		})
	}
}

// TestNotificationEndsWithout: a descriptor that is closed without a newline is no readiness, and visible.
func TestNotificationEndsWithout(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\nprintf almost >&3\nexec 3>&-\nread l < go\n", "notification-fd=3")
	g.fifo("go")
	g.begin()
	h.until("it is said", func() bool { return g.s.said != "" && g.s.noting == nil })
	if i := g.info(); i.Phase != "up" || !strings.Contains(i.Note, "closed") {
		t.Errorf("resume is %+v", i)
	}
	g.svc("d")
	g.until(Down)
	if i := g.info(); i.Note != "" {
		t.Errorf("when it is down, resume is %+v", i)
	}
}

// TestNotifySocket: what the service itself says counts.
func TestNotifySocket(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.host.World, h.host.Census = "here", new(reaper.Census)
	g := h.guest("web", "", "notify-socket")
	g.begin()
	g.says("start")
	g.until(Ready)
	h.until("its status is recorded", func() bool { return g.s.noting == nil })
	if i := g.info(); i.Phase != "ready" || i.Note != "all is well" {
		t.Errorf("resume is %+v", i)
	}
	again := h.crash(g)
	again.until(Ready)
	again.svc("h")
	g.says("HUP")
}

// TestNotifySocketOfOthers: what strangers say does not count.
func TestNotifySocketOfOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\necho $NOTIFY_SOCKET\nread l < go\n", "notify-socket")
	g.fifo("go")
	g.begin()
	name, _ := g.out.ReadString('\n')
	if !strings.HasPrefix(name, "@upkeep/notify/") {
		t.Fatalf("NOTIFY_SOCKET is %q", name)
	}
	heard := make(chan struct{})
	var fd int
	h.until("it listens", func() bool { return g.s.state.Phase == Up })
	g.written()
	h.do(func() { fd = g.s.record.socket })
	h.host.Controls.Remove(fd)
	if err := h.host.Controls.AddEach(fd, func() { g.s.hear(fd); close(heard) }); err != nil {
		t.Fatal(err)
	}
	if err := sendNotice(strings.TrimSpace(name), "READY=1"); err != nil {
		t.Fatal(err)
	}
	<-heard
	h.do(func() {
		if g.s.state.Phase != Up {
			t.Errorf("it is %v, because a stranger has said so", g.s.state.Phase)
		}
	})
}
