package reaper_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCrowd starts one process more where there are many already: it is what any other is, and has none
// of the descriptors that we have opened.
func TestCrowd(t *testing.T) {
	const many = 260
	for range many {
		o := start(t, shell("exec sleep 1000"))
		pid := o.started()[0]
		t.Cleanup(func() {
			children.Signal(pid, unix.SIGKILL, false)
			o.wait(t)
		})
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
	}
	dir := t.TempDir()
	s := shell("echo /proc/self/fd/* >fds; ps -o pid=,sid= -p $$ >session; exit 7")
	s.Dir, s.Setsid = dir, true
	s.Stdin, s.Stdout, s.Stderr = 1, 1, 2 // the forker has no others
	o := start(t, s)
	if e := o.wait(t); e.Status.ExitStatus() != 7 {
		t.Errorf("it ended with %s", describeEnd(e.Status))
	}
	read := func(name string) []string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(b))
	}
	// The shell itself has one more while it redirects and one while it lists.
	if fds := read("fds"); len(fds) > 5 {
		t.Errorf("its descriptors are %v", fds)
	}
	if id := read("session"); len(id) != 2 || id[0] != id[1] {
		t.Errorf("its pid and session are %v", id)
	}
	bad := shell("true")
	bad.Path = "/nonexistent"
	bad.Stdin, bad.Stdout, bad.Stderr = 1, 1, 2
	if err := try(t, bad, newOwner()); err != unix.ENOENT {
		t.Errorf("what cannot be executed: %v", err)
	}
}
