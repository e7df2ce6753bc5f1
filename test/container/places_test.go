package container_test

import (
	"slices"
	"strings"
	"testing"
)

// A place is a way to run the image of services. What upkeep can't have in it is said once.
type place struct {
	name    string
	options []string
	args    []string // in place of the image's own
	state   string   // where clients find the services; empty where nothing can be written
	says    []string // words of the lines that upkeep says
}

// program is the image's without its arguments.
const program = "--entrypoint=/usr/local/bin/upkeep"

var (
	unprivileged = []string{"--user=65534:65534", "--cap-drop=ALL", "--security-opt=no-new-privileges"}
	readOnly     = []string{"--read-only", "--tmpfs=/run:rw,noexec,nosuid,mode=1777"}
)

// places are where the daemon is to be the same: it runs services, restarts them, adopts what they leave
// behind, answers clients and stops in order.
func places() []place {
	const state = "/run/upkeep"
	everywhere := []string{"/.upkeep", ": crash: ", ": litter: ", ": loud: ", ": loud: ", ": loud/log: ", ": mail: ", ": web: "}
	return []place{
		{"PID 1", nil, nil, state, nil},
		{"without state", []string{program}, []string{"/service"}, "/service", nil},
		{"read-only root", readOnly, nil, state, nil},
		{"read-only root without state", []string{"--read-only", "--read-only-tmpfs=false", program}, []string{"/service"}, "", everywhere},
		{"not root and nothing writable", unprivileged, nil, "", everywhere},
		{"not root", slices.Concat(unprivileged, readOnly), nil, state, nil},
		{"init", []string{"--init"}, nil, state, nil},
		{"init, not root", slices.Concat([]string{"--init"}, unprivileged, readOnly), nil, state, nil},
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	e := needEngine(t)
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			needInit(t, p.options)
			c := e.run(t, p.options, servicesImage, p.args...)
			c.serves(p)
			c.stop(soon, 0)
			for _, line := range []string{"web TERM", "mail TERM", "log: last words"} {
				says(t, c, line, 1)
			}
			p.said(t, c)
		})
	}
}

// serves expects that everything is as it should be.
func (c *container) serves(p place) {
	c.t.Helper()
	for _, line := range []string{"web up", "mail up", "log: first words", "orphan of upkeep"} {
		says(c.t, c, line, 1)
	}
	says(c.t, c, "crash", 2)
	if p.state == "" {
		return
	}
	web := p.state + "/web"
	eventually(c.t, "svstat says that it is up", func() bool { return strings.Contains(c.upkeep("svstat", web), ": up (pid ") })
	c.upkeep("svc", "-t", web)
	says(c.t, c, "web TERM", 1)
	says(c.t, c, "web up", 2)
}

// said expects that upkeep has said one line for each of the words, and no other.
func (p place) said(t *testing.T, s speaker) {
	t.Helper()
	lines := complaints(s)
	ok := len(lines) == len(p.says)
	for _, word := range p.says {
		found := false
		for _, l := range lines {
			found = found || strings.Contains(l, word)
		}
		ok = ok && found
	}
	if !ok {
		t.Errorf("upkeep says\n%s\nwant %d lines with %q", strings.Join(lines, "\n"), len(p.says), p.says)
	}
}

// TestWithoutShell: a service is a static program in an image that has nothing else.
func TestWithoutShell(t *testing.T) {
	t.Parallel()
	e := needEngine(t)
	c := e.run(t, slices.Concat(readOnly, unprivileged), staticImage)
	says(t, c, "web up", 1)
	c.stop(soon, 0)
	says(t, c, "web TERM", 1)
}

// TestSharedPids: where upkeep sees the processes of others, and is not PID 1, no signal is for them.
func TestSharedPids(t *testing.T) {
	t.Parallel()
	e := needEngine(t)
	stranger := e.run(t, nil, commandImage, "/server", "listen")
	says(t, stranger, "listening", 1)
	// Not PID 1, which kill(-1) spares, but a child of it listens.
	processes := func() string { return e.do(t, "top", stranger.name, "pid", "ppid", "args") }
	before := processes()
	options := e.services(t, map[string]string{
		"web/run":    serve,
		"deaf/run":   "#!/bin/sh\nexec guest deaf\n",
		"litter/run": litter,
	})
	options = append(options, "--pid=container:"+stranger.name, program)
	c := e.run(t, options, servicesImage, "--state=/run/upkeep", "--stop-timeout=2s", "/service")
	for _, line := range []string{"web up", "deaf up", "orphan of upkeep"} {
		says(t, c, line, 1)
	}
	c.stop(soon, 0)
	says(t, c, "web TERM", 1)
	// Nothing of the container is left, and the stranger hears of the first signal that is for it.
	eventually(t, "there are the same processes as before", func() bool { return processes() == before })
	stranger.kill("USR2")
	says(t, stranger, "SIGUSR2", 1)
	stranger.kill("TERM")
	stranger.ends(5)
	if n := strings.Count(stranger.Output(), "SIG"); n != 2 {
		t.Errorf("the stranger got %d signals:\n%s", n, stranger.Output())
	}
	if list := complaints(c); len(list) > 0 {
		t.Errorf("upkeep says %q", list)
	}
}
