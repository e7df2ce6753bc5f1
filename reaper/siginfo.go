package reaper

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// A siginfo is the kernel's siginfo_t, of which x/sys names only the head. For SIGCHLD si_pid is the
// first field of the union, which is aligned to a pointer.
type siginfo struct {
	raw unix.Siginfo
}

func (s *siginfo) pointer() *unix.Siginfo { return &s.raw }

func (s *siginfo) pid() int {
	const head = 3 * 4 // si_signo, si_errno, si_code
	const align = unsafe.Sizeof(uintptr(0))
	const offset = (head + align - 1) / align * align
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&s.raw), offset)))
}
