package daemon

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// managerVariables are what a service manager says in our environment to us alone. A service that had
// them would speak for us.
var managerVariables = [...]string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", guardVar}

// withoutManager returns an environment as services and the main command get it.
func withoutManager(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(managerVariables[:], name)
	})
}

// notifySocket returns what sends a datagram to the socket of that name, as systemd gives it in
// NOTIFY_SOCKET: a path, or @ and an abstract name. Sending never waits. The name is looked up each time,
// so that a manager may replace its socket; it lies where the manager is, and never on a service's file
// system.
func notifySocket(name string) (send func(string) error, err error) {
	if len(name) < 2 || name[0] != '/' && name[0] != '@' {
		return nil, errors.New("it is neither a path nor @ and a name")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	to := &unix.SockaddrUnix{Name: name}
	return func(text string) error { return unix.Sendto(fd, []byte(text), unix.MSG_NOSIGNAL, to) }, nil
}

// watchdogPause is how long to wait between two signs of life: half of the time after which the manager
// takes us for hung. It is 0 where the manager does not watch this process.
func watchdogPause(usec, pid string) (time.Duration, error) {
	if usec == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 {
		return 0, errors.New("it is not a number of microseconds")
	}
	n = min(n, int64(24*time.Hour/time.Microsecond))
	return max(time.Duration(n)*time.Microsecond/2, time.Millisecond), nil
}

// monotonic is the time that a manager compares its own with, in microseconds.
func monotonic() int64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano() / int64(time.Microsecond)
}
