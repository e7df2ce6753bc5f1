package reaper

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Census knows which processes worked in which directory when it was first asked.
type Census struct {
	settled, taken sync.Once
	settling       atomic.Bool
	dirs           map[string][]int
}

// settleTime is how long a process may take from its birth until it executes its program. It takes seconds where
// there are many for each processor, and as long as the disk where that has to be read.
const settleTime = 30 * time.Second

// Settle waits for what a daemon that was killed had just forked. Until such a process executes its program it
// can be told from the daemon only by having no threads: it has neither a session nor a working directory of its own
// yet.
func Settle() {
	us, err := likeness(os.Getpid())
	if err != nil {
		return // there is no /proc
	}
	end := time.Now().Add(settleTime)
	for _, pid := range pids() {
		for us.unborn(pid) && time.Now().Before(end) {
			time.Sleep(time.Millisecond)
		}
	}
}

// Settle is Settle, once.
func (c *Census) Settle() {
	c.settled.Do(func() {
		c.settling.Store(true)
		defer c.settling.Store(false)
		Settle()
	})
}

// Settling tells whether somebody waits in Settle.
func (c *Census) Settling() bool { return c.settling.Load() }

// A looks is by what a daemon is known: a new one has the user, and the program or the command line, of the one
// before, unless both of these were replaced.
type looks struct {
	user    uint32 // others could call themselves what they like
	program os.FileInfo
	cmdline []byte
}

func likeness(pid int) (l looks, err error) {
	dir := "/proc/" + strconv.Itoa(pid)
	var st unix.Stat_t
	if err = unix.Stat(dir, &st); err == nil {
		l.user = st.Uid
		l.cmdline, err = os.ReadFile(dir + "/cmdline")
	}
	if err == nil {
		l.program, err = os.Stat(dir + "/exe")
	}
	return l, err
}

// unborn tells whether a process looks like us, and has a single thread: no daemon can live with that.
func (us looks) unborn(pid int) bool {
	p, err := Look(pid)
	if err != nil || p.Threads != 1 || p.Zombie || pid == os.Getpid() {
		return false
	}
	it, err := likeness(pid)
	return err == nil && it.user == us.user && (os.SameFile(us.program, it.program) || bytes.Equal(us.cmdline, it.cmdline))
}

// pids are those of all processes.
func pids() (list []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			list = append(list, pid)
		}
	}
	return list
}

// Within returns the processes whose working directory is the one given, by its path without symbolic links.
func (c *Census) Within(dir string) []int {
	c.Settle()
	c.taken.Do(c.take)
	return c.dirs[dir]
}

func (c *Census) take() {
	c.dirs = make(map[string][]int)
	for _, pid := range pids() {
		if dir, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd"); err == nil && pid != os.Getpid() {
			c.dirs[dir] = append(c.dirs[dir], pid)
		}
	}
}
