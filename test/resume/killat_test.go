package resume_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// killAt executes a program and kills it when it enters its n-th system call, counted over all its threads. What it
// executes anew in its own place is counted on; what it forks is left alone. It says how many calls there were.
func killAt(args []string) {
	tr := tracer{leader: traced(args[1:]), kill: atoi(args[0]), inside: make(map[int]bool)}
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WALL, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			fmt.Fprintln(os.Stderr, "wait4:", err)
			os.Exit(99)
		case ws.Stopped():
			tr.stopped(pid, ws)
		case pid == tr.leader && ws.Signaled():
			fmt.Fprintf(os.Stderr, "killed after %d calls\n", tr.calls)
			os.Exit(128 + int(ws.Signal()))
		case pid == tr.leader:
			os.Exit(ws.ExitStatus())
		}
	}
}

// traced executes a program for this thread to trace, and returns its pid.
func traced(argv []string) int {
	runtime.LockOSThread() // it alone may trace
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, argv, err)
		os.Exit(99)
	}
	return cmd.Process.Pid
}

type tracer struct {
	leader int
	set    bool         // the options are
	calls  int          // that were begun
	kill   int          // in which it is killed
	inside map[int]bool // threads that are in a call
}

func (tr *tracer) stopped(pid int, ws unix.WaitStatus) {
	const call = unix.SIGTRAP | 0x80
	pass := 0
	switch sig := ws.StopSignal(); {
	case !tr.set:
		tr.set = true
		unix.PtraceSetOptions(pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_TRACEEXEC|unix.PTRACE_O_EXITKILL)
	case sig == call:
		if tr.inside[pid] = !tr.inside[pid]; tr.inside[pid] {
			tr.enters()
		}
	case ws.TrapCause() == unix.PTRACE_EVENT_EXEC:
		clear(tr.inside)
		tr.inside[pid] = true // of execve, which it is still to return from
	case ws.TrapCause() > 0:
	case sig == unix.SIGSTOP: // a new thread
	default:
		pass = int(sig)
	}
	unix.PtraceSyscall(pid, pass)
}

func (tr *tracer) enters() {
	if tr.calls++; tr.calls == tr.kill {
		unix.Kill(tr.leader, unix.SIGKILL)
	}
}
