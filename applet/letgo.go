package applet

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// letGoOfProgram gives the pages of this program back that only its beginning has needed. What is needed again
// comes from the page cache.
func letGoOfProgram() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, _ := os.ReadFile("/proc/self/maps")
	for line := range bytes.Lines(maps) {
		f := bytes.Fields(line)
		if len(f) < 6 || string(f[5]) != self || f[1][1] == 'w' {
			continue
		}
		low, high, _ := bytes.Cut(f[0], []byte("-"))
		from, err := strconv.ParseUint(string(low), 16, 64)
		to, err2 := strconv.ParseUint(string(high), 16, 64)
		if err == nil && err2 == nil {
			unix.RawSyscall(unix.SYS_MADVISE, uintptr(from), uintptr(to-from), unix.MADV_DONTNEED)
		}
	}
}
