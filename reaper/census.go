package reaper

import (
	"os"
	"strconv"
	"sync"
)

// A Census knows which processes worked in which directory when it was first asked.
type Census struct {
	once sync.Once
	dirs map[string][]int
}

// Within returns the processes whose working directory is the one given, by its path without symbolic links.
func (c *Census) Within(dir string) []int {
	c.once.Do(c.take)
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
