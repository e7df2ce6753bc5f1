package applet

import (
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// plainSignals makes signals end a command that lives for long as they end a C program. The runtime takes no
// notice of most of them, not even of XCPU, and answers a QUIT with pages about itself. Those in keep stay as
// they are. So do what the runtime needs for itself, and HUP and INT, which it leaves alone where they are ignored.
func plainSignals(keep ...syscall.Signal) {
	keep = append(keep, syscall.SIGHUP, syscall.SIGINT, syscall.SIGURG, syscall.SIGSEGV,
		syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL)
	const mask = 8                            // bytes of a set of signals
	var action [8]uint64                      // the default, on every machine
	for s := syscall.Signal(1); s < 32; s++ { // the others have no names
		if !slices.Contains(keep, s) {
			syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, mask, 0, 0)
		}
	}
}
