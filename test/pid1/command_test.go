package pid1_test

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// TestCommand: the main command's end is the end of everything, with its exit code.
func TestCommand(t *testing.T) {
	for end, code := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -KILL $$": 128 + 9, "kill -TERM $$": 128 + 15} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			everywhere(t, func(t *testing.T, w world) {
				root, dir := t.TempDir(), t.TempDir()
				up, over := filepath.Join(dir, "up"), filepath.Join(dir, "over")
				rig.Service(t, root, "web", sh("trap 'echo TERM >"+over+"; exit 0' TERM", "echo up >"+up, "while :; do sleep 0.1; done"))
				d := w.start(t, []string{"--stop-timeout=60s", root, "--", "/bin/sh", "-c",
					"while [ ! -e " + up + " ]; do sleep 0.05; done; " + end})
				if got := d.Wait(); got != code {
					t.Errorf("exit code %d, want %d", got, code)
				}
				d.nobodyLeft()
				holds(t, over, "TERM")
			})
		})
	}
}

// TestCommandArguments: it is found in PATH and gets its arguments and the daemon's standard streams.
func TestCommandArguments(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		d := w.start(t, []string{t.TempDir(), "--", "printf", "<%s>\\n", "one", "two words", "", "--"})
		if code := d.Wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if out := d.Output(); out != "<one>\n<two words>\n<>\n<-->\n" {
			t.Errorf("output: %q", out)
		}
	})
}

func TestCommandMissing(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		root := t.TempDir()
		rig.Service(t, root, "web", rig.Sleeper)
		d := w.start(t, []string{root, "--", "/nonexistent/command"})
		if code := d.Wait(); code == 0 {
			t.Error("exit code 0")
		}
		if !d.Says("/nonexistent/command", "no such file or directory") && !d.Says("/nonexistent/command", "file does not exist") {
			t.Errorf("output: %q", d.Output())
		}
		d.nobodyLeft()
	})
}

// listenHelper writes the names of the signals it gets into a file, until TERM.
func listenHelper(args []string) {
	c := make(chan os.Signal, 100)
	signal.Notify(c)
	f, err := os.OpenFile(args[0], os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(f, "listening")
	for s := range c {
		switch s {
		case syscall.SIGURG, syscall.SIGCHLD: // of the Go runtime, or nobody's business
		case syscall.SIGCONT: // comes along with TERM
		default:
			fmt.Fprintln(f, unix.SignalName(s.(syscall.Signal)))
		}
		if s == syscall.SIGTERM {
			os.Exit(5)
		}
	}
}

// TestForwarding: a signal that means nothing to the daemon is for the command; those that do are not.
func TestForwarding(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		root, got := t.TempDir(), filepath.Join(t.TempDir(), "got")
		rig.Service(t, root, "web", rig.Sleeper)
		d := w.start(t, append([]string{"--stop-timeout=60s", root, "--"}, rig.Helper(t, "listen", got)...))
		lines := []string{"listening"}
		holds(t, got, lines...)
		d.member("sleep")
		for _, s := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGUSR2} {
			syscall.Kill(d.Pid(), syscall.SIGHUP)
			syscall.Kill(d.Pid(), s)
			lines = append(lines, unix.SignalName(s))
			holds(t, got, lines...)
		}
		d.Stop(syscall.SIGTERM, slack)
		holds(t, got, append(lines, "SIGTERM")...)
		d.nobodyLeft()
	})
}

// TestForwardingToNobody: without a command no signal ends the daemon that is not to end it.
func TestForwardingToNobody(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		root := t.TempDir()
		web := rig.Service(t, root, "web", rig.Sleeper)
		d := w.start(t, []string{root})
		old := d.member("sleep")
		for s := syscall.Signal(1); s < 65; s++ {
			switch s {
			case syscall.SIGTERM, syscall.SIGINT, syscall.SIGPWR, syscall.SIGQUIT: // end it
			case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU: // can't be had
			case syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS, syscall.SIGSTKFLT:
			case syscall.SIGUSR1: // executes the daemon anew
			case 32, 33, 34: // libc's own, which Go leaves alone
			default:
				syscall.Kill(d.Pid(), s)
			}
		}
		rig.Svc(t, "t", web)
		harness.Eventually(t, "it is restarted", func() bool { return d.member("sleep").pid != old.pid })
		d.ends(syscall.SIGTERM, slack, 0)
	})
}

// TestCommandIgnoresTerm: the command has the same deadline as the services.
func TestCommandIgnoresTerm(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		up := filepath.Join(t.TempDir(), "up")
		d := w.start(t, []string{"--stop-timeout=1s", t.TempDir(), "--", "/bin/sh", "-c", "trap '' TERM; echo up >" + up + "; exec sleep 1000000"})
		holds(t, up, "up")
		d.Stop(syscall.SIGTERM, time.Second+slack)
		d.nobodyLeft()
	})
}
