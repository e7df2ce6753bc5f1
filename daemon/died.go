package daemon

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// died ends everything when the service was essential.
func (e *entry) died(status unix.WaitStatus, essential, wanted bool) {
	if essential && !wanted && e.d.stop == nil {
		e.d.messages.warn(e.name, "it is essential and has ended (%s); everything is stopped", describe(status))
		e.d.stopAll(new(exitCode(status)), e.d.StopTimeout)
	}
}

// exitCode is the exit code that passes on how a process has ended.
func exitCode(s unix.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

func describe(s unix.WaitStatus) string {
	if s.Signaled() {
		return "signal " + unix.SignalName(s.Signal())
	}
	return fmt.Sprintf("exit code %d", s.ExitStatus())
}
