package daemon

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// syncTime is how long sync may take without getting on. It may take hours as long as it does.
const syncTime = 10 * time.Second

// sync writes what is not on disk yet.
func (m *Machine) sync() {
	done := make(chan struct{})
	go func() {
		unix.Sync()
		close(done)
	}()
	for left := unwritten(); ; {
		select {
		case <-done:
			return
		case <-time.After(syncTime):
		}
		before := left
		if left = unwritten(); left >= before {
			m.messages.warn("", "sync does not get on, with %d kB to write; going on without it", left)
			return
		}
	}
}

// unwritten is how many kB wait to be written, as far as is known.
func unwritten() int {
	table, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	return unwrittenOf(string(table))
}

func unwrittenOf(meminfo string) (kB int) {
	for line := range strings.Lines(meminfo) {
		f := strings.Fields(line)
		if len(f) > 1 && (f[0] == "Dirty:" || f[0] == "Writeback:") {
			n, _ := strconv.Atoi(f[1])
			kB += n
		}
	}
	return kB
}
