// Package rig sets the stage for tests that put upkeep into hard times: a mount namespace in which to
// mount, a cgroup from which nothing escapes the test, helpers that the test binary plays itself, and
// service directories seen from outside.
package rig

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

const inside = "UPKEEP_TEST_INSIDE"

// Main runs the tests of a package in a mount namespace of their own, so that no mount survives them,
// and in a user namespace too where they are not started as root. A test binary that is executed as
// Helper says runs that helper instead.
func Main(m interface{ Run() int }, helpers map[string]func(args []string)) {
	if len(os.Args) > 2 && os.Args[1] == "helper" {
		helpers[os.Args[2]](os.Args[3:])
		os.Exit(0)
	}
	if os.Getenv(inside) == "" {
		if code, ok := again(); ok {
			os.Exit(code)
		}
	}
	os.Unsetenv(inside)
	waiting()
	os.Exit(m.Run())
}

// waiting lets more tests run at once than there are processors, for they mostly wait.
func waiting() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		flag.Set("test.parallel", "8")
	}
}

// Helper returns the arguments that run a helper of this test binary.
func Helper(t testing.TB, name string, args ...string) []string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{self, "helper", name}, args...)
}

func again() (code int, ok bool) {
	runtime.LockOSThread() // Pdeathsig is about the thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=mounts")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			Pdeathsig:   syscall.SIGKILL,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0, true
	case errors.As(err, &ended):
		return max(1, ended.ExitCode()), true
	}
	return 0, false
}
