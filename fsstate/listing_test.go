package fsstate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/test/harness"
)

// as runs f with the rights that uid has on files. The thread that had them ends with it.
func as(t *testing.T, uid int, f func()) {
	t.Helper()
	harness.NeedRoot(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good
		if err := unix.Setfsuid(uid); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

const nobody = 65534

// TestDirectoryThatCannotBeListed: what it holds can be had all the same, as long as one can go there.
func TestDirectoryThatCannotBeListed(t *testing.T) {
	dir := service(t)
	os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755)
	harness.WriteFile(t, dir+"/run", "#!/usr/bin/execlineb -P\n", 0o755)
	harness.WriteFile(t, dir+"/timeout-kill", "250\n", 0o644)
	harness.WriteFile(t, dir+"/finish", "", 0o755)
	harness.WriteFile(t, dir+"/notification-fd", "secret\n", 0o600)
	harness.WriteFile(t, dir+"/control/t", "", 0o755)
	if err := os.Symlink("/dev/null", dir+"/down"); err != nil {
		t.Fatal(err)
	}
	want := ofS6()
	want.Down, want.Finish, want.TimeoutKill = true, true, 250*time.Millisecond

	os.Chmod(dir, 0o711)
	as(t, nobody, func() {
		d, err := fsstate.Read(dir)
		text := "notification-fd cannot be read: permission denied; no notice of readiness is expected\n" +
			"control is runit's, and this directory is s6's: it has a first line of run that names execlineb or with-contenv and notification-fd; it is not run"
		if !same(d, want) || err == nil || err.Error() != text {
			t.Errorf("%+v\n%v", d, err)
		}
	})
	os.Chmod(dir, 0o600) // one cannot even go there
	as(t, nobody, func() {
		if d, err := fsstate.Read(dir); !same(d, plain()) {
			t.Errorf("%+v\n%v", d, err)
		}
	})
}

// TestFullDirectory: where there is much else, all that means something is found.
func TestFullDirectory(t *testing.T) {
	for _, others := range []int{100, 300} { // of which the first is listed to its end
		dir := service(t)
		for i := range others {
			if err := os.WriteFile(fmt.Sprintf("%s/%0250d", dir, i), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range map[string]string{"backoff": "30\n", "down": "", "after": "dns\n", "trigger": "/run/x.pid\n", "finish": ""} {
			harness.WriteFile(t, dir+"/"+name, text, 0o755)
		}
		want := plain()
		want.Backoff, want.Down, want.After, want.Trigger = 30*time.Second, true, []string{"dns"}, "/run/x.pid"
		want.Dialect, want.Finish = fsstate.Runit, true
		if d, err := fsstate.Read(dir); err != nil || !same(d, want) {
			t.Errorf("%d others: %+v, %v", others, d, err)
		}
	}
}

// TestEveryNameIsFound: a listing finds each name that means something, and no other one.
func TestEveryNameIsFound(t *testing.T) {
	names := fsstate.FileNames()
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) || slices.Contains(names, "") {
		t.Errorf("%q", names)
	}
}

// TestReadCosts: a directory with nothing but a run is read with few allocations; how many system calls it
// takes is for strace to say.
func TestReadCosts(t *testing.T) {
	dir := service(t)
	harness.WriteFile(t, dir+"/run", "#!/bin/sh\n", 0o755)
	if n := testing.AllocsPerRun(100, func() { fsstate.Read(dir) }); n > 5 {
		t.Errorf("%v allocations", n)
	}
}
