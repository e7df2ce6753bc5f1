package conformance_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

var seconds = regexp.MustCompile(`\d+ seconds`)

// checkSvstat compares what daemontools' svstat and ours say of the service with what its status holds.
func (s *service) checkSvstat() {
	t := s.h.t
	t.Helper()
	for _, svstat := range []string{installed(t, "svstat"), harness.Bin(t, "svstat")} {
		s.awaitAny(func() string {
			want := s.dir + ": " + s.described() + "\n"
			out, code := harness.Run(t, svstat, s.dir)
			if got := seconds.ReplaceAllString(out, "S seconds"); got != want || code != 0 {
				return fmt.Sprintf("%s says %q with code %d, the status says %q", svstat, got, code, want)
			}
			return "agreement"
		}, "agreement")
	}
}

// described is the text that the family's manual promises for the status file.
func (s *service) described() string {
	if !s.supervised() {
		return "supervise not running"
	}
	b := s.status()
	text := "down S seconds"
	pid := statusPid(b)
	_, err := os.Stat(filepath.Join(s.dir, "down"))
	normallyUp := err != nil
	if pid != 0 {
		text = fmt.Sprintf("up (pid %d) S seconds", pid)
	}
	for _, part := range []struct {
		holds bool
		text  string
	}{
		{pid != 0 && !normallyUp, ", normally down"},
		{pid == 0 && normallyUp, ", normally up"},
		{pid != 0 && b[16] != 0, ", paused"},
		{pid == 0 && b[17] == 'u', ", want up"},
		{pid != 0 && b[17] == 'd', ", want down"},
	} {
		if part.holds {
			text += part.text
		}
	}
	return text
}

// TestClients runs daemontools' clients and ours on the same directories: same words, same codes.
func TestClients(t *testing.T) {
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		up, paused, waiting := h.service("up", plain), h.service("paused", plain), h.service("waiting", stubborn)
		normallyDown, ended, started := h.service("normally down", plain), h.service("ended", plain), h.service("started", plain)
		normallyDown.touch("down")
		started.touch("down")
		logged, log := h.logged("logged", plain)
		former := h.service("former", plain)
		h.bare("never")
		h.put(".file", "")
		h.bare("bad status")
		h.bare("folder")
		for _, dir := range []string{"bad status/supervise", "folder/supervise/ok", "folder/supervise/control"} {
			if err := os.MkdirAll(h.at("services/"+dir).dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		bad := h.at("services/bad status")
		if err := syscall.Mkfifo(filepath.Join(bad.dir, "supervise/ok"), 0o600); err != nil {
			t.Fatal(err)
		}
		ok, err := syscall.Open(filepath.Join(bad.dir, "supervise/ok"), syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(ok)
		h.open()
		for _, s := range []*service{up, paused, waiting, ended, former, logged, log} {
			s.await("up/u 1")
		}
		for _, s := range []*service{normallyDown, started} {
			s.await("down/d 0")
		}
		paused.send("p")
		waiting.send("d")
		ended.send("d")
		started.send("u")
		h.unlist(former)
		if p.like != "runit" {
			former.send("dx")
		}
		paused.await("up/u paused 1")
		waiting.await("up/d 1 CONT TERM")
		ended.await("down/d 1 TERM")
		started.await("up/u 1")
		former.await("gone 1 TERM")

		dirs := []string{"up", "paused", "waiting", "normally down", "ended", "started", "logged", "logged/log", "former", "never", "bad status", "folder", "missing", "up/run", "up/run/further", "", "."}
		status := func(text string) { harness.WriteFile(t, filepath.Join(bad.dir, "supervise/status"), text, 0o644) }
		var calls [][]string
		for _, dir := range dirs {
			calls = append(calls, []string{"svstat", dir}, []string{"svok", dir}, []string{"svc", dir})
		}
		calls = append(calls, []string{"svok"}, []string{"svc"}, append([]string{"svstat"}, dirs...), []string{"svok", "up", "ignored"}, []string{"svok", "never", "up"},
			[]string{"svc", "-c", "never", "missing", "former", "up/run", "folder", ""}, []string{"svc", "-cc", "-c", "up", "ended"},
			[]string{"svc", "--", "up"}, []string{"svc", "-c", "--", "up"}, []string{"svc", "-", "up"}, []string{"svc", "-c", "up", "-h"})
		for _, args := range calls {
			h.compare(args)
		}
		for _, text := range []string{"", "short", strings.Repeat("\x00", 17), strings.Repeat("\x00", 18), strings.Repeat("\x7f", 18), strings.Repeat("\xff", 20), "@\x00\x00\x00\xff\xff\xff\xff" + strings.Repeat("\x01", 40)} {
			status(text)
			h.compare([]string{"svstat", "bad status"})
			h.compare([]string{"svok", "bad status"})
		}
		h.compareUsage()
	})
}

// compare runs a client of daemontools and ours in the services' directory.
func (h *house) compare(args []string) {
	h.t.Helper()
	run := func(program string) string {
		cmd := exec.Command(program, args[1:]...)
		cmd.Dir = filepath.Join(h.base, "services")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		if cmd.ProcessState == nil {
			h.t.Fatal(err)
		}
		return fmt.Sprintf("code %d, stdout %q, stderr %q", cmd.ProcessState.ExitCode(),
			seconds.ReplaceAllString(stdout.String(), "S seconds"), stderr.String())
	}
	theirs, ours := run(installed(h.t, args[0])), run(harness.Bin(h.t, args[0]))
	if args[0] == "svok" { // as encore's; diff("encore-clients")
		theirs = strings.Replace(theirs, "unable to open "+args[len(args)-1]+"/supervise/ok", "unable to open supervise/ok", 1)
	}
	if ours != theirs {
		h.t.Errorf("%q says\n%s\nbut daemontools'\n%s", args, ours, theirs)
	}
}

// compareUsage: a wrong letter is refused with the same first line; the list of letters is longer than
// daemontools', since it is encore's. diff("more-letters")
func (h *house) compareUsage() {
	h.t.Helper()
	for _, option := range []string{"-z", "-uz", "-U"} {
		theirs, theirCode := harness.Run(h.t, installed(h.t, "svc"), option, h.base)
		ours, ourCode := harness.Run(h.t, harness.Bin(h.t, "svc"), option, h.base)
		first, _, _ := strings.Cut(theirs, "\n")
		if got, _, _ := strings.Cut(ours, "\n"); got != first || ourCode != theirCode {
			h.t.Errorf("svc %s: %d %q, but daemontools': %d %q", option, ourCode, got, theirCode, first)
		}
	}
}

// TestSv drives runit and upkeep with runit's sv, step by step, and compares what it says.
func TestSv(t *testing.T) {
	t.Parallel()
	sv := installed(t, "sv")
	var houses []*house
	var services, logs []*service
	for _, p := range []peer{runit, upkeep} {
		h := newHouse(t, p)
		s, log := h.logged("web", plain)
		h.open()
		s.await("up/u 1")
		log.await("up/u 1")
		houses, services, logs = append(houses, h), append(services, s), append(logs, log)
	}
	pid := regexp.MustCompile(`pid \d+`)
	ago := regexp.MustCompile(`\d+s`)
	for _, step := range []struct{ command, see string }{
		{"status", "up/u 1"},
		{"pause", "up/u paused 1"},
		{"status", "up/u paused 1"},
		{"cont", "up/u 1"},
		{"hup", "up/u 1 HUP"},
		{"alarm", "up/u 1 ALRM HUP"},
		{"1", "up/u 1 ALRM HUP USR1"},
		{"quit", "up/u 1 ALRM HUP QUIT USR1"},
		{"term", "up/u 2 ALRM HUP QUIT TERM USR1"},
		{"status", "up/u 2 ALRM HUP QUIT TERM USR1"},
		{"down", "down/d 2 ALRM HUP QUIT TERM TERM USR1"},
		{"status", "down/d 2 ALRM HUP QUIT TERM TERM USR1"},
		{"up", "up/u 3 ALRM HUP QUIT TERM TERM USR1"},
		{"-w 20 restart", "up/u 4 ALRM HUP QUIT TERM TERM TERM USR1"},
		{"-w 20 stop", "down/d 4 ALRM HUP QUIT TERM TERM TERM TERM USR1"},
		{"-w 20 start", "up/u 5 ALRM HUP QUIT TERM TERM TERM TERM USR1"},
		{"-w 20 force-restart", "up/u 6 ALRM HUP QUIT TERM TERM TERM TERM TERM USR1"},
		{"-w 20 force-stop", "down/d 6 ALRM HUP QUIT TERM TERM TERM TERM TERM TERM USR1"},
		{"status", "down/d 6 ALRM HUP QUIT TERM TERM TERM TERM TERM TERM USR1"},
		{"-w 20 check", "down/d 6 ALRM HUP QUIT TERM TERM TERM TERM TERM TERM USR1"},
	} {
		var said []string
		for i, h := range houses {
			out, code := harness.Run(t, sv, append(strings.Fields(step.command), services[i].dir)...)
			services[i].await(step.see)
			logs[i].await("up/u 1")
			out = ago.ReplaceAllString(pid.ReplaceAllString(strings.ReplaceAll(out, h.base, ""), "pid P"), "Ss")
			said = append(said, fmt.Sprintf("code %d, %s", code, out))
		}
		if said[0] != said[1] {
			t.Errorf("sv %s:\n%son runit, but\n%son upkeep", step.command, said[0], said[1])
		}
	}
}

// TestSvOnce: runit turns "once" into "down", which sv doesn't depend on.
func TestSvOnce(t *testing.T) {
	each(t, []peer{runit, upkeep}, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("web", plain)
		s.touch("down")
		h.open()
		s.await("down/d 0")
		if out, code := harness.Run(t, installed(t, "sv"), "once", s.dir); code != 0 {
			t.Errorf("sv once: %d %s", code, out)
		}
		s.await(once("up", "1").on(p))
		s.send("k")
		s.await(once("down", "1").on(p))
	})
}

// TestStatusFormats: daemontools' own 18 bytes can be had.
func TestStatusFormats(t *testing.T) {
	t.Parallel()
	p := upkeep
	for format, size := range map[string]int{"daemontools": 18, "encore": 20, "runit": 20, "s6": 35} {
		p.scan = func(t testing.TB, root string) *exec.Cmd {
			return exec.Command(harness.Bin(t, "upkeep"), "--status="+format, root)
		}
		h := newHouse(t, p)
		s := h.service("web", plain)
		h.open()
		s.await("up/u 1")
		if format != "encore" { // with which our svstat says more, as encore's does
			s.checkSvstat()
		}
		if n := len(s.status()); n != size {
			t.Errorf("--status=%s: %d bytes", format, n)
		}
	}
}
