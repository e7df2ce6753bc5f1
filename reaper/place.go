package reaper

import (
	"math"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Place has the process of s born in a cgroup, the directory that is given unless it is empty, and enter
// the further groups whose cgroup.procs files are given. Where the kernel does not bear into cgroups it
// enters all of them before it executes anything.
func (r *Reaper) Place(s *Spec, cgroup string, join []string) {
	r.probe.Do(func() { r.bears = bearsIntoGroups() })
	if r.bears || cgroup == "" {
		s.Cgroup, s.Join = cgroup, join
		return
	}
	s.Join = append([]string{filepath.Join(cgroup, "cgroup.procs")}, join...)
}

// bearsIntoGroups asks for a child in a cgroup that cannot be, for no open file has that number. A kernel
// before 5.7 does not know what is meant, and a container may hide the system call.
func bearsIntoGroups() bool {
	args := struct{ flags, pidfd, childTid, parentTid, exitSignal, stack, stackSize, tls, setTid, setTidSize, cgroup uint64 }{
		flags: unix.CLONE_INTO_CGROUP, exitSignal: uint64(unix.SIGCHLD), cgroup: math.MaxInt32,
	}
	_, _, err := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	return err == unix.EBADF
}
