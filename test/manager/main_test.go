// Package manager_test holds what upkeep and a service manager that starts it have to do with each other:
// the messages to NOTIFY_SOCKET, and the files of init/.
package manager_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

func TestMain(m *testing.M) { rig.Main(m, nil) }

const top = "../.."

func sh(lines ...string) string { return "#!/bin/sh\n" + strings.Join(lines, "\n") + "\n" }

// A manager listens as a service manager does.
type manager struct {
	t    *testing.T
	name string
	conn *net.UnixConn
	told []string // all lines, in order
}

func newManager(t *testing.T) *manager {
	t.Helper()
	return listen(t, filepath.Join(t.TempDir(), "notify"))
}

func listen(t *testing.T, name string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{t: t, name: name, conn: conn}
}

// start starts one of our commands under the manager; env is further environment.
func (m *manager) start(env []string, argv ...string) *rig.Upkeep {
	m.t.Helper()
	cmd := exec.Command(harness.Bin(m.t, argv[0]), argv[1:]...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.name)
	cmd.Env = append(cmd.Env, env...)
	return rig.Start(m.t, cmd)
}

// next returns the lines of the next message.
func (m *manager) next(patience time.Duration) ([]string, error) {
	buf := make([]byte, 4096)
	m.conn.SetReadDeadline(time.Now().Add(patience))
	n, err := m.conn.Read(buf)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(buf[:n]), "\n")
	m.told = append(m.told, lines...)
	return lines, nil
}

// hears reads messages until there is a line for which want is true, and returns it.
func (m *manager) hears(what string, want func(line string) bool) string {
	m.t.Helper()
	for {
		lines, err := m.next(harness.Patience)
		if err != nil {
			m.t.Fatalf("waiting for %s: %v; told so far: %q", what, err, m.told)
		}
		for _, line := range lines {
			if want(line) {
				return line
			}
		}
	}
}

func (m *manager) line(want string) {
	m.t.Helper()
	m.hears(want, func(line string) bool { return line == want })
}

// rest returns what is told before the other side is done, which it is already.
func (m *manager) rest() (all []string) {
	m.t.Helper()
	for {
		lines, err := m.next(time.Second)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return all
		}
		if err != nil {
			m.t.Fatal(err)
		}
		all = append(all, lines...)
	}
}

// heard tells how often a line that begins so has been read.
func (m *manager) heard(prefix string) (n int) {
	for _, line := range m.told {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

func signal(t *testing.T, u *rig.Upkeep, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(u.Pid(), s); err != nil {
		t.Fatal(err)
	}
}

func status(services, up int) string {
	return fmt.Sprintf("STATUS=%d services, %d up, %d down", services, up, services-up)
}

// children is how many processes a daemon has started that have not ended.
func children(t *testing.T, u *rig.Upkeep) (n int) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", u.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		pids, _ := os.ReadFile(list)
		n += len(strings.Fields(string(pids)))
	}
	return n
}
