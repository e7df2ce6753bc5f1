package dialects_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// onceThen is a run script that does something in its first life and sleeps in the others.
func onceThen(how string) string {
	return "#!/bin/sh\n[ -e lived ] && exec sleep 1000000\necho $$ >lived\n" + how + "\n"
}

// TestRunitFinish: finish learns how run has ended, and works where run has worked.
func TestRunitFinish(t *testing.T) {
	both(t, runit, func(t *testing.T, s *stage) {
		ends := []struct{ how, args string }{
			{"exit 0", "0 0"}, {"exit 3", "3 0"}, {"exit 100", "100 0"}, {"exit 111", "111 0"}, {"exit 255", "255 0"},
			{"kill -TERM $$", "-1 15"}, {"kill -KILL $$", "-1 9"}, {"kill -HUP $$", "-1 1"}, {"kill -USR1 $$", "-1 10"},
			{"ulimit -c 0; kill -SEGV $$", "-1 11"},
		}
		var services []*service
		for i, e := range ends {
			services = append(services, s.service(fmt.Sprint("end", i), onceThen(e.how),
				"finish", "#!/bin/sh\necho \"$0 $# $*\" >args.new\npwd >>args.new\nmv args.new args\n"))
		}
		s.open()
		for i, v := range services {
			v.await("args", fmt.Sprintf("./finish 2 %s\n%s\n", ends[i].args, v.dir))
		}
		for _, v := range services {
			v.up(0)
		}
	})
}

// TestRunitFinishWithLogger: finish's output goes where run's goes.
func TestRunitFinishWithLogger(t *testing.T) {
	both(t, runit, func(t *testing.T, s *stage) {
		v := s.service("web", onceThen("echo run"), "finish", "#!/bin/sh\necho finish $1\n",
			"log/run", "#!/bin/sh\nexec cat >>current\n")
		s.open()
		v.await("log/current", "run\nfinish 0\n")
	})
}

// TestRunitFinishForEver: a finish that never ends is seen, and wishes meanwhile are kept.
func TestRunitFinishForEver(t *testing.T) {
	both(t, runit, func(t *testing.T, s *stage) {
		v := s.service("web", server(t, ""), "finish", server(t, "ends=none heard=finished"))
		s.open()
		v.await("heard", "start\n")
		run := v.pid()
		v.run("sv", "down", v.dir)
		v.await("finished", "start\n")
		status := func() string { return v.plain(v.run("sv", "status", v.dir)) }
		await(t, "sv status", "finish: DIR: (pid P) Ns, want down\n", status)
		pid := v.pid()
		if b := v.status(); pid == run || !rig.Alive(pid) || b[17] != 'd' || b[19] != 2 {
			t.Errorf("run was %d; the status is % x", run, b)
		}
		// Signals are run's; finish hears none of them.
		v.tell("tai12hqd")
		v.tell("u")
		await(t, "sv status", "finish: DIR: (pid P) Ns\n", status)
		if s.peer.ours {
			v.awaitLong("finishing")
		}
		if heard := v.text("finished"); heard != "start\n" || v.pid() != pid {
			t.Errorf("finish hears %q, and the status names %d after %d", heard, v.pid(), pid)
		}
		syscall.Kill(pid, syscall.SIGKILL)
		v.await("heard", "start\nTERM\nstart\n")
		await(t, "sv status", "run: DIR: (pid P) Ns\n", status)
	})
}

// TestRunitControl: a script stands in for a signal if it exits with 0, and goes before it if not.
func TestRunitControl(t *testing.T) {
	both(t, runit, func(t *testing.T, s *stage) {
		tests := []struct {
			letter  string
			scripts map[string]int
			ran     string // in this order
			heard   string
		}{
			{"t", map[string]int{"t": 0}, "t", ""},
			{"t", map[string]int{"t": 1}, "t", "TERM"},
			{"h", map[string]int{"h": 0}, "h", ""},
			{"h", map[string]int{"h": 1}, "h", "HUP"},
			{"h", map[string]int{"a": 0}, "", "HUP"},
			{"1", map[string]int{"1": 0}, "1", ""},
			{"2", map[string]int{"2": 111}, "2", "USR2"},
			{"d", map[string]int{"d": 0}, "d", "TERM"},
			{"d", map[string]int{"t": 0, "d": 0}, "t d", ""},
			{"d", map[string]int{"t": 1, "d": 1}, "t d", "TERM"},
			{"c", map[string]int{"c": 0}, "c", ""},
			{"u", map[string]int{"u": 0}, "u", ""},
		}
		var services []*service
		for _, test := range tests {
			name := test.letter
			var files []string
			for _, letter := range slices.Sorted(maps.Keys(test.scripts)) {
				name += fmt.Sprint("-", letter, test.scripts[letter])
				files = append(files, "control/"+letter, fmt.Sprintf(
					"#!/bin/sh\necho \"$0 $# $PWD\" >>controls\nexit %d\n", test.scripts[letter]))
			}
			services = append(services, s.service(name, server(t, "ends=none"), files...))
		}
		s.open()
		for i, v := range services {
			v.await("heard", "start\n")
			v.tell(tests[i].letter)
		}
		for i, v := range services {
			want := ""
			for _, l := range strings.Fields(tests[i].ran) {
				want += fmt.Sprintf("control/%s 0 %s\n", l, v.dir)
			}
			v.await("controls", want)
			heard := strings.ReplaceAll("start\n"+tests[i].heard+"\n", "\n\n", "\n")
			v.await("heard", heard) // before the next signal: of two the lower one comes first
			// INT follows, so that all that the letter has made the service hear has been heard by then.
			v.tell("i")
			v.await("heard", heard+"INT\n")
			v.await("controls", want)
		}
	})
}

// TestRunitControlIsNotDeafening: while a script takes its time, a death is answered, where runsv would
// wait for the script; the letters that have come since take effect in their order.
func TestRunitControlIsNotDeafening(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	v := s.service("web", server(t, "ends=none"), "control/h", "#!/bin/sh\necho h >>controls\nread x <go\n").gates("go")
	other := s.service("other", server(t, ""))
	s.open()
	v.await("heard", "start\n")
	other.await("heard", "start\n")
	v.tell("h1")
	v.await("controls", "h\n")
	other.tell("h")
	other.await("heard", "start\nHUP\n")
	pid := v.up(0)
	syscall.Kill(pid, syscall.SIGKILL)
	v.up(pid)
	v.await("heard", "start\nstart\n")
	v.release("go", "")
	v.await("heard", "start\nstart\nUSR1\n")
	v.tell("dk")
	harness.Eventually(t, "it is down", func() bool { return v.pid() == 0 })
	v.await("controls", "h\n")
}

// TestRunitCheck: who waits for a service to come up asks its check.
func TestRunitCheck(t *testing.T) {
	both(t, runit, func(t *testing.T, s *stage) {
		v := s.service("web", rig.Sleeper, "check", "#!/bin/sh\npwd >>checked\n[ -e good ]\n", "down", "")
		s.open()
		v.supervised()
		sv := func(code int, args ...string) string {
			t.Helper()
			out, got := harness.Run(t, harness.Need(t, "sv")[0], append(args, v.dir)...)
			if got != code {
				t.Errorf("sv %q: exit code %d, %s", args, got, out)
			}
			return v.plain(out)
		}
		svup := func() int {
			_, code := harness.Run(t, harness.Bin(t, "svup"), v.dir)
			return code
		}
		see := []string{sv(1, "-w", "5", "start"), fmt.Sprint(svup()), sv(1, "-w", "5", "check")}
		if err := os.WriteFile(v.path("good"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		see = append(see, sv(0, "start"), fmt.Sprint(svup()), sv(0, "check"), sv(0, "restart"), sv(0, "stop"), fmt.Sprint(svup()))
		want := "timeout: run: DIR: (pid P) Ns, normally down\n|100|timeout: run: DIR: (pid P) Ns, normally down\n|" +
			"ok: run: DIR: (pid P) Ns, normally down\n|0|ok: run: DIR: (pid P) Ns, normally down\n|" +
			"ok: run: DIR: (pid P) Ns, normally down\n|ok: down: DIR: Ns\n|100"
		if got := strings.Join(see, "|"); got != want {
			t.Errorf("sv and svup say\n%s\nwant\n%s", got, want)
		}
		if !strings.HasPrefix(v.text("checked"), v.dir+"\n") {
			t.Errorf("check ran in %q", v.text("checked"))
		}
	})
}

// TestRunitLinks: on a root that is not to be written to, supervise is a link to somewhere else.
func TestRunitLinks(t *testing.T) {
	both(t, runit, func(t *testing.T, s *stage) {
		v := s.service("web", "#!/bin/sh\necho line\nexec sleep 1000000\n", "log/run", "#!/bin/sh\nexec cat >>current\n")
		state := filepath.Join(filepath.Dir(s.root), "state")
		if err := os.Mkdir(state, 0o755); err != nil {
			t.Fatal(err)
		}
		for link, target := range map[string]string{"supervise": "../../state/web", "log/supervise": "../../../state/web.log"} {
			if err := os.Symlink(target, v.path(link)); err != nil {
				t.Fatal(err)
			}
		}
		s.open()
		v.await("log/current", "line\n")
		await(t, "sv status", "run: DIR: (pid P) Ns; run: log: (pid P) Ns\n", func() string {
			out, _ := harness.Run(t, harness.Need(t, "sv")[0], "status", v.dir)
			return v.plain(out)
		})
		for _, name := range []string{"web", "web.log"} {
			st, err := os.Stat(filepath.Join(state, name))
			if err != nil || st.Mode() != os.ModeDir|0o700 {
				t.Errorf("%s: %v, %v", name, st, err)
			}
			if _, err := os.Stat(filepath.Join(state, name, "status")); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestSvWords drives what waits with words of sv, on directories that only runit's dialect has.
func TestSvWords(t *testing.T) {
	sv := func(v *service, words string) string {
		cmd := exec.Command(harness.Need(v.t, "sv")[0], append(strings.Fields(words), v.dir)...)
		out, code := harness.RunCmd(v.t, cmd)
		return fmt.Sprintf("%s: %d %s", words, code, v.plain(out))
	}
	both(t, runit, func(t *testing.T, s *stage) {
		v := s.service("web", server(t, ""), "finish", "#!/bin/sh\necho $* >>finished\n", "log/run", "#!/bin/sh\nexec cat >/dev/null\n")
		hard := s.service("hard", server(t, "ends=none"), "finish", "#!/bin/sh\necho $* >>finished\n")
		s.open()
		v.await("heard", "start\n")
		hard.await("heard", "start\n")
		const up, log = "run: DIR: (pid P) Ns", "; run: log: (pid P) Ns"
		await(t, "sv status", "status: 0 "+up+log+"\n", func() string { return sv(v, "status") })
		heard := "start\n"
		for _, step := range []struct {
			who              *service
			words, say, hear string
		}{
			{v, "check", "0 ok: " + up, ""},
			{v, "hup", "0 ", "HUP"},
			{v, "1", "0 ", "USR1"},
			{v, "2", "0 ", "USR2"},
			{v, "alarm", "0 ", "ALRM"},
			{v, "interrupt", "0 ", "INT"},
			{v, "quit", "0 ", "QUIT"},
			{v, "stop", "0 ok: down: DIR: Ns, normally up", "TERM"},
			{v, "status", "0 down: DIR: Ns, normally up" + log, ""},
			{v, "start", "0 ok: " + up, "start"},
			{v, "restart", "0 ok: " + up, "TERM start"},
			{v, "force-restart", "0 ok: " + up, "TERM start"},
			{v, "force-reload", "0 ok: " + up, "TERM start"},
			{v, "try-restart", "0 ok: " + up, "TERM start"},
			{v, "force-stop", "0 ok: down: DIR: Ns, normally up", "TERM"},
			{v, "try-restart", "0 ok: down: DIR: Ns, normally up", ""},
			{v, "start", "0 ok: " + up, "start"},
			{v, "reload", "0 ok: " + up, "HUP"},
			{hard, "-w 5 stop", "1 timeout: " + up + ", want down, got TERM", ""},
			{hard, "-w 5 force-stop", "1 kill: " + up + ", want down, got TERM", ""},
		} {
			got := strings.TrimRight(sv(step.who, step.words), "\n")
			got = strings.TrimPrefix(got, step.words+": ")
			if got != step.say {
				t.Errorf("sv %s says %q, want %q", step.words, got, step.say)
			}
			for _, h := range strings.Fields(step.hear) {
				heard += h + "\n"
			}
			v.await("heard", heard)
		}
		// The killed one stays down, and finish has been told.
		hard.await("finished", "-1 9\n")
		await(t, "sv status", "status: 0 down: DIR: Ns, normally up\n", func() string { return sv(hard, "status") })
	})
}

// TestSvLeaves: exit and its kin stop a service and end its supervision, which begins anew with the next look at the root.
func TestSvLeaves(t *testing.T) {
	both(t, runit, func(t *testing.T, s *stage) {
		finish := "#!/bin/sh\necho $* >>finished\n"
		web := s.service("web", server(t, ""), "finish", finish)
		hard := s.service("hard", server(t, "ends=none"), "finish", finish)
		s.open()
		sv := func(v *service, words ...string) string {
			out, code := harness.RunCmd(t, exec.Command(harness.Need(t, "sv")[0], append(words, v.dir)...))
			return strings.TrimSpace(fmt.Sprintf("%d %s", code, v.plain(out)))
		}
		web.await("heard", "start\n")
		hard.await("heard", "start\n")
		heard := "start\n"
		for _, step := range []struct{ word, says string }{
			{"exit", "0"},
			{"shutdown", "0 ok: down: DIR: runsv not running"},
			{"force-shutdown", "0 ok: down: DIR: runsv not running"},
		} {
			if got := strings.Replace(sv(web, step.word), "ok: DIR", "ok: down: DIR", 1); got != step.says {
				t.Errorf("sv %s says %q, want %q", step.word, got, step.says)
			}
			heard += "TERM\nstart\n"
			web.await("heard", heard)
		}
		if got, want := sv(hard, "-w", "5", "force-shutdown"), "1 kill: run: DIR: (pid P) Ns, want down, got TERM"; got != want {
			t.Errorf("sv force-shutdown says %q, want %q", got, want)
		}
		hard.await("heard", "start\nTERM\nstart\n")
	})
}
