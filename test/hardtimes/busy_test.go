package hardtimes_test

import (
	"os"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// TestBusyDirectory: a service changes files without end, in its own directory or in the root. A new
// service is found all the same.
func TestBusyDirectory(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"service", "root"} {
		t.Run(where, func(t *testing.T) {
			root := join(t.TempDir(), "root")
			a := rig.Service(t, root, "a", rig.Sleeper)
			rig.Service(t, root, "busy", "#!/bin/sh\n"+
				map[string]string{"service": "", "root": "cd ..\n"}[where]+
				"while :; do : >.busy1; : >busy2; mv busy2 busy3; rm .busy1 busy3; done\n")
			u := rig.StartOn(t, root)
			answers(t, a)
			answers(t, rig.Service(t, root, "new", rig.Sleeper))
			answers(t, a)
			u.Lives()
		})
	}
}

// TestStoppedDaemon: what happens while the daemon is stopped is made up for.
func TestStoppedDaemon(t *testing.T) {
	t.Parallel()
	root := join(t.TempDir(), "root")
	a, b, c := rig.Service(t, root, "a", rig.Sleeper), rig.Service(t, root, "b", rig.Sleeper), rig.Service(t, root, "c", rig.Sleeper)
	u := rig.StartOn(t, root)
	pidA, pidB, pidC := rig.Up(t, a), rig.Up(t, b), rig.Up(t, c)
	kill(t, u.Pid(), syscall.SIGSTOP)
	harness.Eventually(t, "the daemon is stopped", func() bool { return rig.ProcState(u.Pid()) == "T" })
	kill(t, pidA, syscall.SIGKILL)
	rig.Svc(t, "t", b)
	rig.Svc(t, "d", c)
	fresh := rig.Service(t, root, "new", rig.Sleeper)
	gone := rig.Service(t, root, "gone", rig.Sleeper)
	if err := os.Rename(gone, join(root, ".gone")); err != nil {
		t.Fatal(err)
	}
	kill(t, u.Pid(), syscall.SIGCONT)
	rig.NewPid(t, a, pidA)
	rig.NewPid(t, b, pidB)
	harness.Eventually(t, "c is gone", func() bool { return !rig.Alive(pidC) })
	rig.Down(t, c)
	answers(t, fresh)
	u.Lives()
}
