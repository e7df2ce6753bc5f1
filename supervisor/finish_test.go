package supervisor

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/reaper"
)

// TestFinish: finish runs after each run, with its dialect's arguments, and is seen to.
func TestFinish(t *testing.T) {
	for _, test := range []struct{ mark, name, run, want string }{
		{"", "runit exit", "exit 3", "finish 3 0"},
		{"", "runit signal", "kill -9 $$", "finish -1 9"},
		{"max-death-tally", "s6 exit", "exit 3", "finish 3 0 web PID"},
		{"max-death-tally", "s6 signal", "kill -9 $$", "finish 256 9 web PID"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			g := h.guest("web", "#!/bin/sh\necho $$ $*\nread line < go\n"+test.run)
			g.write("finish", "#!/bin/sh\necho finish $*\nread line < went\n", 0o755)
			if test.mark != "" {
				g.write(test.mark, "5", 0o644)
				g.write("timeout-finish", "0", 0o644)
			}
			g.fifo("go")
			g.fifo("went")
			g.begin()
			g.until(Up)
			pid := g.pid()
			said := strconv.Itoa(pid)
			if test.mark != "" {
				said += " web"
			}
			g.says(said)
			g.feed("go")
			g.says(strings.Replace(test.want, "PID", strconv.Itoa(pid), 1))
			h.until("finish runs", func() bool { return g.s.state.Phase == Finishing && g.s.pid != 0 })
			status, err := fsstate.ParseStatus(g.status())
			if err != nil || status.Phase != fsstate.PhaseFinish || status.Pid != g.pid() || status.Pid == pid {
				t.Errorf("while finish runs the status is %+v, %v", status, err)
			}
			if i := g.info(); i.Phase != "finishing" || i.Pid != status.Pid {
				t.Errorf("while finish runs resume is %+v", i)
			}
			g.svc("dt")
			h.until("d is heard", func() bool { return g.s.state.Want == fsstate.WantDown })
			g.feed("went")
			g.until(Down)
		})
	}
}

// TestFinishThatNeverEnds ends by KILL when its time is over, and the service goes on.
func TestFinishThatNeverEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\necho run\nexit 0\n", "timeout-finish=100")
	g.write("finish", "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n", 0o755)
	g.begin()
	g.says("run", "run")
}

// TestFinishForGood: after 125 nothing is started until a letter says so.
func TestFinishForGood(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\necho run\nexit 0\n", "timeout-finish=0")
	g.write("finish", "#!/bin/sh\nexit 125\n", 0o755)
	g.begin()
	g.says("run")
	g.until(Failed)
	if i := g.info(); i.Phase != "failed" || i.Cause == "" || *i.Want != fsstate.WantDown {
		t.Errorf("resume is %+v", i)
	}
	g.svc("u")
	g.says("run")
	g.until(Failed)
	g.svc("d")
	g.until(Down)
}

// TestFinishSurvivesUpkeep: another Supervisor goes on with the finish that runs, and does not start another.
func TestFinishSurvivesUpkeep(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.host.World, h.host.Census = "here", new(reaper.Census)
	g := h.guest("web", "#!/bin/sh\necho run\nread line < go\n")
	g.write("finish", "#!/bin/sh\necho finish $1\nread line < went\n", 0o755)
	g.fifo("go")
	g.fifo("went")
	g.begin()
	g.says("run")
	g.feed("go")
	h.until("finish runs", func() bool { return g.s.state.Phase == Finishing && g.s.pid != 0 })
	pid := g.pid()
	g.written()
	again := h.crash(g)
	h.until("it is taken over", func() bool { return again.s.state.Phase == Finishing && again.s.pid == pid })
	g.says("finish 0")
	g.feed("went")
	g.says("run")
}

// TestDeathTally: s6's programs learn how a service has ended lately.
func TestDeathTally(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\necho run\nexit 3\n", "max-death-tally=2")
	g.begin()
	g.says("run", "run", "run")
	h.until("it has ended", func() bool { return g.s.starts >= 3 && g.s.state.Phase == Waiting })
	g.written()
	if b, err := os.ReadFile(g.super("death_tally")); err != nil || len(b) != 28 || b[12] != 3 || b[26] != 3 {
		t.Errorf("death_tally holds %x, %v", b, err)
	}
}

// TestDownSignal: d sends what the directory says, and l alone what reload-signal does.
func TestDownSignal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "", "down-signal=USR1", "reload-signal=USR2", "timeout-kill=3000")
	g.begin()
	g.says("start")
	g.svc("l")
	g.says("USR2")
	g.svc("d")
	if got, want := g.read(2), []string{"CONT", "USR1"}; !slices.Equal(got, want) {
		t.Errorf("d: it got %q, want %q", got, want)
	}
	g.until(Down) // by KILL
	if i := g.info(); i.Signal == nil || *i.Signal != int(unix.SIGKILL) {
		t.Errorf("resume is %+v", i)
	}
}

// TestNewPIDs: run is process 1 of its own.
func TestNewPIDs(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may make a PID namespace")
	}
	t.Parallel()
	h := newHouse(t)
	g := h.guest("web", "#!/bin/sh\necho $$\nread line < go\n", "flag-newpidns")
	g.fifo("go")
	g.begin()
	g.says("1")
	g.until(Up)
	if status, err := fsstate.ParseStatus(g.status()); err != nil || status.Pid == 1 || status.Pid != g.pid() {
		t.Errorf("the status is %+v, %v", status, err)
	}
}

// TestExit100 is the end for daemontools-encore only.
func TestExit100(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.host.Format = fsstate.FormatEncore
	plain := h.guest("plain", "#!/bin/sh\necho run\nexit 100\n")
	encore := h.guest("encore", "#!/bin/sh\necho run\nexit 100\n")
	encore.write("notify", "#!/bin/sh\n", 0o755)
	plain.begin()
	encore.begin()
	plain.says("run", "run")
	encore.says("run")
	encore.until(Failed)
	if status, err := fsstate.ParseStatus(encore.status()); err != nil || status.State != fsstate.EncoreFailed {
		t.Errorf("the status is %+v, %v", status, err)
	}
}
