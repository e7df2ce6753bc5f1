package conformance_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"upkeep/test/harness"
)

// What can be wrong with ./run, and what the family calls it.
var failures = []struct {
	name   string
	make   func(h *house, s *service)
	reason string
}{
	{"absent", func(h *house, s *service) {}, "file does not exist"},
	{"dangling", func(h *house, s *service) { os.Symlink("nowhere", filepath.Join(s.dir, "run")) }, "file does not exist"},
	{"forbidden", runFile("#!/bin/sh\n", 0o644), "access denied"},
	{"directory", func(h *house, s *service) { os.Mkdir(filepath.Join(s.dir, "run"), 0o755) }, "access denied"},
	{"interpreter", runFile("#!/no/such/interpreter\n", 0o755), "file does not exist"},
	{"format", runFile("echo no first line\n", 0o755), "exec format error"},
	{"emptyfile", runFile("", 0o755), "exec format error"},
	{"looping", func(h *house, s *service) { os.Symlink("run", filepath.Join(s.dir, "run")) }, "symbolic link loop"},
}

func runFile(text string, mode os.FileMode) func(h *house, s *service) {
	return func(h *house, s *service) { harness.WriteFile(h.t, filepath.Join(s.dir, "run"), text, mode) }
}

// TestStartFailures: the message is the original's, the service is tried again, and it comes up once it can.
func TestStartFailures(t *testing.T) {
	each(t, []peer{daemontools, runit, upkeep, {
		name: "upkeep supervise", like: "upkeep", client: upkeep.client, supervise: upkeep.supervise}}, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		var services []*service
		for _, f := range failures {
			s := h.bare(f.name)
			f.make(h, s)
			h.list(s)
			services = append(services, s)
		}
		dir := func(s *service) string { return s.name }
		if p.scan != nil {
			h.open()
		} else {
			for _, s := range services {
				h.start(p.supervise(t, s.dir))
			}
			dir = func(s *service) string { return s.dir }
		}
		for i, f := range failures {
			s := services[i]
			harness.Eventually(t, s.name+" is supervised", s.supervised)
			text := "supervise: fatal: unable to start " + dir(s) + "/run: " + f.reason
			if p.like == "runit" { // runit-messages
				text = "runsv " + dir(s) + ": fatal: unable to start ./run: " + f.reason
			}
			harness.Eventually(t, "it is said that "+text, func() bool { return strings.Contains(h.said(), text+"\n") })
		}
		h.checkFailingStatus(services)
		for _, s := range services {
			os.RemoveAll(filepath.Join(s.dir, "run"))
			s.become(plain)
			s.await("up/u 1")
		}
	})
}

// checkFailingStatus: upkeep shows a service that can't be started as down, the others as up and down in turn.
func (h *house) checkFailingStatus(services []*service) {
	h.t.Helper()
	if !h.peer.ours() {
		return // diff("start-failure")
	}
	for _, s := range services {
		s.awaitState("down/u")
		s.checkSvstat()
		said := h.said()
		for _, line := range []string{
			"upkeep: warning: " + s.name + ": cannot start ./run: ",
			"/" + s.name + "/run: ", // of supervise alone
			" " + s.name + "/run: ",
		} {
			if n := strings.Count(said, line); n > 1 {
				h.t.Errorf("%q is said %d times", line, n)
			}
		}
	}
}

// TestLogStartFailure: a logger's message has the name that the original's has.
func TestLogStartFailure(t *testing.T) {
	want := expectation{"supervise: fatal: unable to start log/run: file does not exist", but{
		"runit": {"runsv web: fatal: unable to start log/./run: file does not exist", diff("runit-messages")}}}
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s, log := h.bare("web"), h.bare("web/log")
		s.become(plain)
		h.list(s)
		h.open()
		s.await("up/u 1")
		harness.Eventually(t, "it is said that "+want.on(p), func() bool { return strings.Contains(h.said(), want.on(p)+"\n") })
		log.become(logger)
		log.await("up/u 1")
	})
}
