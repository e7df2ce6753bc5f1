package conformance_test

import (
	"bytes"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"upkeep/test/harness"
)

// TestSecondSupervisor starts every kind of supervisor on a service that any other kind has.
func TestSecondSupervisor(t *testing.T) {
	holders := append([]peer{{name: "upkeep supervise", like: "upkeep", client: upkeep.client, supervise: upkeep.supervise}}, all...)
	each(t, holders, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("web", plain)
		if p.scan != nil {
			h.open()
		} else {
			h.start(p.supervise(t, s.dir))
		}
		s.await("up/u 1")
		before := s.status()
		for _, second := range all {
			want := expectation{"supervise: fatal: unable to acquire " + s.dir + "/supervise/lock: temporary failure\n", but{
				"runit": {"runsv " + s.dir + ": fatal: unable to lock supervise/lock: temporary failure\n", diff("runit-messages")}}}
			out, code := refused(t, second.supervise(t, s.dir))
			if code != 111 || out != want.on(second) {
				t.Errorf("%s on a service of %s: code %d, %q", second.name, p.name, code, out)
			}
		}
		s.send("h")
		s.await("up/u 1 HUP")
		if !bytes.Equal(before, s.status()) {
			t.Errorf("the status has changed from % x to % x", before, s.status())
		}
	})
}

// refused is harness.RunCmd for a supervisor that should end at once, and is ended if it doesn't.
func refused(t testing.TB, cmd *exec.Cmd) (string, int) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	patience := time.AfterFunc(harness.Patience, func() { cmd.Process.Signal(syscall.SIGTERM) })
	defer patience.Stop()
	cmd.Wait()
	return out.String(), cmd.ProcessState.ExitCode()
}

// TestServiceOfAnother: a daemon whose root lists a service that somebody else supervises says so, keeps
// the others, and takes the service when it is free.
func TestServiceOfAnother(t *testing.T) {
	t.Parallel()
	says := expectation{"supervise: fatal: unable to acquire web/supervise/lock: temporary failure", but{
		"upkeep": {"upkeep: warning: web: cannot lock SERVICES/web/supervise/lock: another supervise has the lock; trying again every 5s", diff("messages")}}}
	for _, holder := range all {
		t.Run("held by "+holder.name, func(t *testing.T) {
			each(t, []peer{daemontools, upkeep}, func(t *testing.T, p peer) {
				h := newHouse(t, p)
				s, other := h.service("web", plain), h.service("other", plain)
				first := h.start(holder.supervise(t, s.dir))
				s.await("up/u 1")
				h.open()
				other.await("up/u 1")
				h.awaitComplaint("lock", says.on(p))
				s.await("up/u 1")
				s.send("dx")
				if code := first.Wait(); code != 0 {
					t.Errorf("the first supervisor ended with code %d", code)
				}
				s.await("up/u 2 TERM")
			})
		})
	}
}

// TestWrongCalls compares messages and exit codes of calls that can't succeed.
func TestWrongCalls(t *testing.T) {
	t.Parallel()
	h := newHouse(t, daemontools)
	harness.WriteFile(t, h.base+"/file", "", 0o644)
	for _, c := range []struct {
		program string
		args    []string
	}{
		{"supervise", nil},
		{"supervise", []string{"a", "b"}},
		{"supervise", []string{"nowhere"}},
		{"supervise", []string{"file"}},
		{"supervise", []string{""}},
		{"svscan", []string{"nowhere"}},
		{"svscan", []string{"file"}},
		{"svscan", []string{"file/below"}},
	} {
		run := func(program string) (string, int) {
			cmd := exec.Command(program, c.args...)
			cmd.Dir = h.base
			return refused(t, cmd)
		}
		theirs, theirCode := run(installed(t, c.program))
		ours, ourCode := run(harness.Bin(t, c.program))
		if ours != theirs || ourCode != theirCode {
			t.Errorf("%s %q: %d %q, but daemontools: %d %q", c.program, c.args, ourCode, ours, theirCode, theirs)
		}
	}
}
