package hardtimes_test

import (
	"os"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// complaints makes services about which there is something to warn.
func complaints(t *testing.T, root string, names ...string) {
	t.Helper()
	for _, name := range names {
		rig.Service(t, root, name, "not executable\n")
	}
}

func TestStderrHasNoReader(t *testing.T) {
	t.Parallel()
	root := join(t.TempDir(), "root")
	a := rig.Service(t, root, "a", rig.Sleeper)
	complaints(t, root, "bad")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := rig.Command(t, root)
	cmd.Stdout, cmd.Stderr = w, w
	u := rig.Start(t, cmd)
	answers(t, a)
	complaints(t, root, "worse")
	rescan(t, u)
	harness.Eventually(t, "the next one is taken up", func() bool {
		_, ok := rig.StatusOf(join(root, "worse", "supervise"))
		return ok
	})
	answers(t, a)
	if code := u.Stop(syscall.SIGTERM, harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestStderrIsFull(t *testing.T) {
	t.Parallel()
	root := join(t.TempDir(), "root")
	a := rig.Service(t, root, "a", rig.Sleeper)
	complaints(t, root, "bad", "worse")
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(p[0])
	for block := make([]byte, 4096); ; {
		if _, err := syscall.Write(p[1], block); err != nil {
			break
		}
	}
	// The daemon gets it as any pipe is: blocking.
	if err := syscall.SetNonblock(p[1], false); err != nil {
		t.Fatal(err)
	}
	w := os.NewFile(uintptr(p[1]), "full pipe")
	defer w.Close()
	cmd := rig.Command(t, "--stop-timeout=2s", root)
	cmd.Stderr = w
	u := rig.Start(t, cmd)
	answers(t, a)
	for range 3 {
		rescan(t, u)
		answers(t, a)
	}
	answers(t, rig.Service(t, root, "new", rig.Sleeper))
	if code := u.Stop(syscall.SIGTERM, slack+slack); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
