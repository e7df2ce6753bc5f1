package conformance_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// leaving is a service that has forked something into a session of its own.
const leaving = "#!/bin/sh\nsetsid sh -c 'echo $$ >left.new; mv left.new left; exec sleep 1000000' &\necho start $$ >>heard\nexec sleep 1000000\n"

// TestWhatAServiceLeaves: after svc -d, what the service has forked lives on, or does not.
func TestWhatAServiceLeaves(t *testing.T) {
	fate := expectation{"lives", but{"upkeep": {"has ended", diff("tree")}}}
	each(t, all, func(t *testing.T, p peer) {
		if p.like == "upkeep" {
			needGroups(t)
		}
		h := newHouse(t, p)
		s := h.script("web", leaving)
		h.open()
		var left int
		harness.Eventually(t, "it has left something", func() bool {
			b, _ := os.ReadFile(filepath.Join(s.dir, "left"))
			left, _ = strconv.Atoi(strings.TrimSpace(string(b)))
			return left != 0
		})
		s.awaitState("up/u")
		s.send("d")
		s.awaitState("down/d")
		if fate.on(p) == "has ended" {
			harness.Eventually(t, "that has ended, too", func() bool { return processState(left) == 0 })
			return
		}
		if state := processState(left); state == 0 || state == 'Z' {
			t.Errorf("what it has left is in state %q", state)
		}
		syscall.Kill(left, syscall.SIGKILL)
	})
}

// needGroups skips the test where a daemon of ours can have no cgroups.
func needGroups(t *testing.T) {
	t.Helper()
	harness.NeedRoot(t)
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if syscall.Access(dir+"/cgroup.procs", 2) == nil && syscall.Access(dir+"/cgroup.controllers", 4) == nil {
			return
		}
	}
	harness.Skip(t, "the unified cgroup hierarchy cannot be written to")
}
