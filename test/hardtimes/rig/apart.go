package rig

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Apart is Main in a PID namespace of its own too, where that can be had: /proc holds the test's processes only,
// and none of them outlives it.
func Apart(m interface{ Run() int }, helpers map[string]func(args []string)) {
	switch os.Getenv(inside) {
	case "":
		if code, ok := apart(); ok {
			os.Exit(code)
		}
	case "init":
		os.Exit(reapAround())
	}
	Main(m, helpers)
}

func apart() (code int, ok bool) {
	if os.Getuid() != 0 || len(os.Args) > 1 && os.Args[1] == "helper" {
		return 0, false
	}
	runtime.LockOSThread() // Pdeathsig is about the thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=init")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, false
	}
	if cmd.Wait() == nil {
		return 0, true
	}
	return max(1, cmd.ProcessState.ExitCode()), true
}

// reapAround is the PID 1 of the namespace: it runs the tests and reaps.
func reapAround() (code int) {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err == nil {
		err = unix.Mount("proc", "/proc", "proc", 0, "")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mount /proc:", err)
		return 1
	}
	os.Setenv(inside, "mounts")
	tests, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "execute the tests:", err)
		return 1
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 1
		case pid == tests && status.Exited():
			return status.ExitStatus()
		case pid == tests:
			return 1
		}
	}
}
