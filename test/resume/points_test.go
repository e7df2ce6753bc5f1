package resume_test

import (
	"fmt"
	"os/exec"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// TestPoints: the daemon is killed in the n-th call of each kind that a thread of it makes while a service is
// started, stopped, started again and killed. Whenever that is, the next daemon has one copy of it, or none when
// it is told so.
func TestPoints(t *testing.T) {
	harness.Need(t, "strace")
	for _, call := range []string{"mkdirat", "mknodat", "flock", "openat", "write", "renameat", "close", "epoll_ctl", "fcntl", "clone,clone3",
		"kill", "wait4", "waitid", "readlinkat", "rt_sigprocmask", "futex"} {
		for _, n := range []int{1, 2, 4, 7} {
			t.Run(fmt.Sprint(call, " ", n), func(t *testing.T) {
				h := newHouse(t)
				s := h.service("web", long)
				// What the daemon starts is let go when it executes its program.
				h.open("strace", "-f", "-qq", "-b", "execve", "-o", "/dev/null", "-e", "trace="+call,
					"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, n))
				h.suffer(s)
				h.open()
				s.supervised()
				s.tell("u")
				harness.Eventually(t, "there is one copy, which is recorded", func() bool {
					st, ok := rig.StatusOf(s.super())
					return ok && st.Pid != 0 && rig.Alive(st.Pid) && working(s.dir) == 1
				})
				s.tell("d")
				harness.Eventually(t, "there is no copy", func() bool {
					st, ok := rig.StatusOf(s.super())
					return ok && st.Pid == 0 && working(s.dir) == 0
				})
				h.ends(0)
			})
		}
	}
}

// suffer has a daemon do all that it does for a service, until it has ended. One that has come through is killed.
func (h *house) suffer(s *service) {
	h.t.Helper()
	pid := func() int {
		st, _ := rig.StatusOf(s.super())
		return st.Pid
	}
	until := func(cond func() bool) {
		harness.Eventually(h.t, "the service is as it was told, or the daemon has ended", func() bool { return cond() || !h.Running() })
	}
	until(func() bool { return pid() != 0 })
	for _, letter := range "dukd" {
		before := pid()
		s.tell(string(letter))
		until(func() bool {
			switch now := pid(); letter {
			case 'd':
				return now == 0
			case 'k':
				return now != 0 && now != before
			default:
				return now != 0
			}
		})
	}
	if h.Running() {
		if out, err := exec.Command("pkill", "-KILL", "-P", fmt.Sprint(h.Pid())).CombinedOutput(); err != nil {
			h.t.Fatalf("cannot kill the daemon: %v %s", err, out)
		}
	}
	h.Wait()
}

// tell writes letters if somebody listens.
func (s *service) tell(letters string) {
	fd, err := syscall.Open(s.super()+"/control", syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer syscall.Close(fd)
	syscall.Write(fd, []byte(letters))
}
