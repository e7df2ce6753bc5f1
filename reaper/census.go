package reaper

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"
)

// A Census knows which processes worked in which directory when it was first asked.
type Census struct {
	settled, taken sync.Once
	dirs           map[string][]int
}

// settleTime is how long a process may take from its birth until it executes its program.
const settleTime = time.Second

// Settle waits, once, for what a daemon that was killed had just forked. Until such a process executes its
// program it can be told from the daemon only by its pid: it has neither a session nor a working directory of
// its own yet.
func (c *Census) Settle() {
	c.settled.Do(func() {
		for end := time.Now().Add(settleTime); unborn() && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	})
}

// unborn tells whether there is a process that looks like us, and is not: nobody else has our root.
func unborn() bool {
	self, err := os.ReadFile("/proc/self/cmdline")
	if err != nil || len(self) == 0 {
		return false
	}
	list, _ := os.ReadDir("/proc")
	for _, e := range list {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if other, err := os.ReadFile("/proc/" + e.Name() + "/cmdline"); err == nil && bytes.Equal(self, other) {
			return true
		}
	}
	return false
}

// Within returns the processes whose working directory is the one given, by its path without symbolic links.
func (c *Census) Within(dir string) []int {
	c.Settle()
	c.taken.Do(c.take)
	return c.dirs[dir]
}

func (c *Census) take() {
	c.dirs = make(map[string][]int)
	list, _ := os.ReadDir("/proc")
	for _, e := range list {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if dir, err := os.Readlink("/proc/" + e.Name() + "/cwd"); err == nil {
			c.dirs[dir] = append(c.dirs[dir], pid)
		}
	}
}
