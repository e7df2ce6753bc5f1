package dialects_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// svstat is what s6-svstat says, without what differs from time to time.
func (v *service) s6svstat() string {
	v.t.Helper()
	return strings.TrimSpace(v.plain(v.run("s6-svstat", v.dir)))
}

// s6svc runs s6's svc.
func (v *service) s6svc(option string) {
	v.t.Helper()
	v.run("s6-svc", option, v.dir)
}

// waiter starts one of s6's programs that wait, and waits until it has a FIFO among the listeners.
func (v *service) waiter(name string, args ...string) *harness.Process {
	v.t.Helper()
	before := len(v.listeners())
	cmd := exec.Command(harness.Need(v.t, name)[0], args...)
	p := harness.Start(v.t, syscall.SIGKILL, cmd)
	harness.Eventually(v.t, name+" listens, or has ended", func() bool { return len(v.listeners()) > before || !p.Running() })
	return p
}

// TestS6Finish: finish learns how run has ended. s6 gives a fourth argument since 2.13.
func TestS6Finish(t *testing.T) {
	both(t, s6, func(t *testing.T, s *stage) {
		ends := []struct{ how, args string }{
			{"exit 0", "0 0"}, {"exit 3", "3 0"}, {"exit 100", "100 0"}, {"exit 125", "125 0"}, {"exit 255", "255 0"},
			{"kill -TERM $$", "256 15"}, {"kill -KILL $$", "256 9"}, {"kill -USR1 $$", "256 10"},
		}
		var services []*service
		for i, e := range ends {
			services = append(services, s.service(fmt.Sprint("end", i), onceThen("echo $# $* >runargs; "+e.how), "timeout-finish", "0\n",
				"finish", "#!/bin/sh\necho $1 $2 $3 >args.new\necho \"$# $4\" >more.new; pwd >>args.new\nmv more.new more; mv args.new args\n"))
		}
		s.open()
		for i, v := range services {
			v.await("args", fmt.Sprintf("%s %s\n%s\n", ends[i].args, v.name, v.dir))
			if want := "1 " + v.name + "\n"; v.text("runargs") != want {
				t.Errorf("run has the arguments %q, want %q", v.text("runargs"), want)
			}
			more, group := v.text("more"), strings.TrimSpace(v.text("lived"))
			if more != "4 "+group+"\n" && (s.peer.ours || more != "3 \n") {
				t.Errorf("finish has the number of arguments and the process group %q, run was %s", more, group)
			}
		}
		for _, v := range services {
			v.up(0)
		}
	})
}

// TestS6FinishTakesLong: finish is killed in the end, and its run comes again.
func TestS6FinishTakesLong(t *testing.T) {
	both(t, s6, func(t *testing.T, s *stage) {
		finish := server(t, "ends=none heard=finished")
		short := s.service("short", server(t, ""), "timeout-finish", "3000", "finish", finish)
		standard := s.service("standard", server(t, ""), "down-signal", "TERM", "finish", finish) // 5 s
		services := []*service{short, standard}
		s.open()
		for _, v := range services {
			v.await("heard", "start\n")
			v.tell("t")
		}
		for _, v := range services {
			v.await("finished", "start\n")
			v.await("heard", "start\nTERM\nstart\n")
			await(t, "s6-svstat", "up (pid P) N seconds", v.s6svstat) // not failed
		}
	})
}

// TestS6FinishFails: exit code 125 means that it makes no sense to go on, until somebody says u.
func TestS6FinishFails(t *testing.T) {
	both(t, s6, func(t *testing.T, s *stage) {
		v := s.service("web", "#!/bin/sh\nread x <go\nexit 3\n", "notification-fd", "3\n",
			"finish", "#!/bin/sh\necho $1 >>args\nexit 125\n").gates("go")
		s.open()
		v.up(0)
		waits := v.waiter("s6-svwait", "-U", v.dir)
		v.release("go", "")
		v.await("args", "3\n")
		if code := waits.Wait(); code != 1 {
			t.Errorf("s6-svwait -U: exit code %d, %s", code, waits.Output())
		}
		await(t, "s6-svstat", "down (exitcode 3) N seconds, normally up, ready N seconds", v.s6svstat)
		if s.peer.ours {
			v.awaitLong("failed")
		}
		v.s6svc("-u")
		await(t, "s6-svstat", "up (pid P) N seconds", v.s6svstat)
		v.release("go", "")
		v.await("args", "3\n3\n")
		await(t, "s6-svstat", "down (exitcode 3) N seconds, normally up, ready N seconds", v.s6svstat)
	})
}

// TestS6Killed: what does not end when it should is killed, and only then.
func TestS6Killed(t *testing.T) {
	both(t, s6, func(t *testing.T, s *stage) {
		run := server(t, "ends=none")
		down := s.service("down", run, "timeout-kill", "3000\n")
		again := s.service("again", run, "timeout-kill", "3000\n", "max-death-tally", "10")
		term := s.service("term", run, "timeout-kill", "1\n")
		services := []*service{down, again, term}
		s.open()
		for _, v := range services {
			v.await("heard", "start\n")
		}
		term.tell("t")
		term.await("heard", "start\nTERM\n")
		down.tell("d")
		again.tell("d")
		again.await("heard", "start\nTERM\n")
		again.tell("u") // which does not save it
		again.await("heard", "start\nTERM\nstart\n")
		harness.Eventually(t, "it is down", func() bool { return down.pid() == 0 })
		down.await("heard", "start\nTERM\n")
		term.await("heard", "start\nTERM\n") // t is no stop
	})
}

// TestS6DownSignal: its name may be written in several ways; t sends TERM all the same.
func TestS6DownSignal(t *testing.T) {
	both(t, s6, func(t *testing.T, s *stage) {
		var services []*service
		for i, text := range []string{"USR1", "usr1\n", "SIGUSR1\n", "10\n", "sigusr1\nHUP\n"} {
			services = append(services, s.service(fmt.Sprint("web", i), server(t, "ends=INT"), "down-signal", text))
		}
		bad := s.service("bad", server(t, "ends=INT"), "down-signal", "NONE\n")
		s.open()
		bad.await("heard", "start\n")
		bad.tell("d")
		bad.await("heard", "start\nTERM\n")
		bad.tell("i")
		for _, v := range services {
			v.await("heard", "start\n")
			v.tell("t")
			v.await("heard", "start\nTERM\n")
			v.s6svc("-r")
			v.await("heard", "start\nTERM\nUSR1\n")
			await(t, "s6-svstat", "up (pid P) N seconds", v.s6svstat)
			v.s6svc("-d")
			v.await("heard", "start\nTERM\nUSR1\nUSR1\n")
			await(t, "s6-svstat", "up (pid P) N seconds, want down", v.s6svstat)
			v.tell("k")
			await(t, "s6-svstat", "down (signal SIGKILL) N seconds, normally up, ready N seconds", v.s6svstat)
		}
	})
}

// TestS6ReloadSignal is upkeep's alone, for Debian's s6 has neither file nor letter: a lone l reloads
// where the file is; before other letters it is encore's.
func TestS6ReloadSignal(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	with := s.service("with", server(t, "ends=none"), "reload-signal", "USR2\n")
	without := s.service("without", server(t, "ends=none"))
	s.open()
	for _, v := range []*service{with, without} {
		v.await("heard", "start\n")
		v.tell("l")
	}
	with.await("heard", "start\nUSR2\n")
	for _, v := range []*service{with, without} {
		v.tell("lh")
	}
	with.await("heard", "start\nUSR2\nHUP\n")
	without.await("heard", "start\nHUP\n")
}

// TestS6DeathTally: only the newest deaths are kept, oldest first.
func TestS6DeathTally(t *testing.T) {
	both(t, s6, func(t *testing.T, s *stage) {
		v := s.service("web", "#!/bin/sh\nn=$(($(cat n)+1))\necho $n >n\n[ $n -lt 6 ] || kill -HUP $$\nexit $n\n",
			"n", "0\n", "down", "", "max-death-tally", "3\n")
		s.open()
		v.supervised()
		codes := func() string {
			text, list := v.text("supervise/death_tally"), ""
			for ; len(text) >= 14; text = text[14:] {
				list += fmt.Sprintf("%d/%d ", text[12], text[13])
			}
			return list + text
		}
		for i, want := range []string{"1/0 ", "1/0 2/0 ", "1/0 2/0 3/0 ", "2/0 3/0 4/0 ", "3/0 4/0 5/0 ", "4/0 5/0 129/1 "} {
			v.s6svc("-o")
			await(t, fmt.Sprint("the tally after death ", i+1), want, codes)
			harness.Eventually(t, "it is down", func() bool { return v.pid() == 0 })
		}
		if n := v.text("n"); n != "6\n" {
			t.Errorf("it was started %s times", n)
		}
	})
}

// TestS6PIDNamespace is upkeep's alone: Debian's s6 has no flag-newpidns.
func TestS6PIDNamespace(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	s := newStage(t, upkeep)
	v := s.service("web", "#!/bin/sh\necho $$ >pid.new\nmv pid.new pid\nexec sleep 1000000\n", "flag-newpidns", "")
	s.open()
	v.await("pid", "1\n")
	pid := v.up(0)
	if pid == 1 {
		t.Error("the status has the inner pid")
	}
	v.tell("k")
	v.up(pid)
	v.tell("dk") // process 1 takes no TERM
	harness.Eventually(t, "it is down", func() bool { return v.pid() == 0 })
}

// TestS6Paths: what s6 never looks at does nothing.
func TestS6Paths(t *testing.T) {
	both(t, s6, func(t *testing.T, s *stage) {
		v := s.service("web", "#!/bin/sh\necho \"${COLOUR-none}\" >colour.new; mv colour.new colour\nexec sleep 1000000\n",
			"env/COLOUR", "green\n", "data/check", "#!/bin/sh\ntouch checked\n", "type", "longrun\n", "notification-fd", "3\n")
		s.open()
		v.await("colour", "none\n")
		pid := v.up(0)
		if group, err := syscall.Getpgid(pid); err != nil || group != pid {
			t.Errorf("pid %d is in group %d, %v", pid, group, err)
		}
		if v.text("env/COLOUR") != "green\n" || v.text("checked") != "" || !rig.Alive(pid) {
			t.Error("data or env were touched")
		}
	})
}

// TestS6Lasting: D, U and Q hold for the next time that the service is taken up, too.
func TestS6Lasting(t *testing.T) {
	both(t, s6, func(t *testing.T, s *stage) {
		v := s.service("web", server(t, "ends=TERM"), "down-signal", "TERM\n")
		s.open()
		v.await("heard", "start\n")
		down := func(there bool) {
			t.Helper()
			harness.Eventually(t, fmt.Sprintf("that there is a file down is %v", there), func() bool {
				_, err := os.Lstat(v.path("down"))
				return (err == nil) == there
			})
		}
		down(false)
		v.s6svc("-D")
		v.await("heard", "start\nTERM\n")
		down(true)
		await(t, "s6-svstat", "down (exitcode 0) N seconds, ready N seconds", v.s6svstat)
		v.s6svc("-U")
		v.await("heard", "start\nTERM\nstart\n")
		down(false)
		await(t, "s6-svstat", "up (pid P) N seconds", v.s6svstat)
		v.s6svc("-Q")
		down(true)
		await(t, "s6-svstat", "up (pid P) N seconds, normally down, want down", v.s6svstat)
		v.s6svc("-t")
		await(t, "s6-svstat", "down (exitcode 0) N seconds, ready N seconds", v.s6svstat)
	})
}
