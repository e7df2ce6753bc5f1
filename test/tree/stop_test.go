package tree_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// everyPlace runs a test in a group of the daemon's own and where others are.
func everyPlace(t *testing.T, test func(t *testing.T, h *house, open func(...string) *house)) {
	t.Parallel()
	t.Run("own group", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		test(t, h, h.open)
	})
	t.Run("shared group", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		test(t, h, h.openShared)
	})
}

// crowd makes services with escapees, one of them with a logger and one with a limit.
func (h *house) crowd(escapee string) (list []*service) {
	h.t.Helper()
	for i, files := range [][]string{nil, {"log/run", sh("exec cat >/dev/null")}, {"cgroup/pids.max", "100\n"}} {
		if i == 2 && groupOf("self", "pids") == "" {
			files = nil
		}
		list = append(list, h.service(fmt.Sprintf("web%d", i), leader, append(files, "notes/escapee", escapee)...))
	}
	return list
}

func TestStop(t *testing.T) {
	everyPlace(t, func(t *testing.T, h *house, open func(...string) *house) {
		list := h.crowd(polite)
		open("--stop-timeout=60s")
		for _, s := range list {
			s.says("up")
		}
		h.ends(syscall.SIGTERM, slack)
		for _, s := range list {
			s.says("up", "leader", "escapee")
		}
	})
}

// TestStopDeadline: what does not end is killed when the time to stop is over.
func TestStopDeadline(t *testing.T) {
	everyPlace(t, func(t *testing.T, h *house, open func(...string) *house) {
		list := h.crowd(stubborn)
		open("--stop-timeout=2s")
		for _, s := range list {
			s.says("up")
		}
		begin := time.Now()
		h.ends(syscall.SIGTERM, 2*time.Second+slack)
		if took := time.Since(begin); took < time.Second {
			t.Errorf("they had only %v", took)
		}
	})
}

// TestQuit: QUIT does not wait for long.
func TestQuit(t *testing.T) {
	everyPlace(t, func(t *testing.T, h *house, open func(...string) *house) {
		list := h.crowd(stubborn)
		open("--stop-timeout=60s")
		for _, s := range list {
			s.says("up")
		}
		h.ends(syscall.SIGQUIT, time.Second+slack)
	})
}

// TestStopUsesTimeoutKill: at the end too, timeout-kill is all the time that a service has.
func TestStopUsesTimeoutKill(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", leader, "notes/escapee", stubborn, "timeout-kill", "200\n")
	h.open("--stop-timeout=60s")
	s.says("up")
	h.ends(syscall.SIGTERM, slack)
}

// TestStopOfDown: what a service that is down has left behind ends with the daemon.
func TestStopOfDown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", leader, "notes/escapee", stubborn)
	h.open("--stop-timeout=1s")
	s.says("up")
	s.svc("d")
	s.says("up", "leader", "escapee")
	h.ends(syscall.SIGTERM, time.Second+slack)
}

// TestKilledDaemon: what a daemon that was killed has left goes on in its groups, and ends with the next one.
func TestKilledDaemon(t *testing.T) {
	t.Run("shared group", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.killed(t, func() { h.openShared("--stop-timeout=3s") })
	})
	t.Run("given group", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		dir := newGroup(t)
		h.killed(t, func() { h.open("--stop-timeout=3s", "--cgroup="+dir) })
		if left := subgroups(dir); len(left) > 0 {
			t.Errorf("groups left behind: %v", left)
		}
	})
}

func (h *house) killed(t *testing.T, open func()) {
	s := h.service("web", leader, "notes/escapee", stubborn, "log/run", sh("exec cat >/dev/null"))
	calm := h.service("calm", "echo up >>said\nexec sleep 1000000")
	open()
	s.says("up")
	group := s.group()
	old := []int{s.up(), s.pid("escaped"), calm.up(), rig.Up(t, filepath.Join(s.dir, "log"))}
	t.Cleanup(func() { // before the groups are removed
		if !t.Failed() {
			return // they have ended, and their pids may be others' by now
		}
		for _, pid := range old {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	os.Remove(filepath.Join(s.notes, "escaped"))
	syscall.Kill(h.Pid(), syscall.SIGKILL)
	h.Wait()
	lives(t, old...)
	open()
	harness.Eventually(t, "both are supervised again", func() bool {
		now, ok := rig.StatusOf(filepath.Join(s.dir, "supervise"))
		other, okToo := rig.StatusOf(filepath.Join(calm.dir, "supervise"))
		return ok && okToo && now.Pid == old[0] && other.Pid == old[2] && rig.Supervised(s.dir) && rig.Supervised(calm.dir)
	})
	if now := s.group(); now != group {
		t.Errorf("the group was %s and is %s", group, now)
	}
	lives(t, old...)
	s.says("up")
	for _, pid := range old[:2:2] {
		if now := groupOf(strconv.Itoa(pid), ""); now != group {
			t.Errorf("%d is in %s", pid, now)
		}
	}
	h.ends(syscall.SIGTERM, 3*time.Second+slack)
	for _, pid := range old {
		dies(t, pid)
	}
	harness.Eventually(t, "the group is gone", func() bool { return gone(group) })
}
