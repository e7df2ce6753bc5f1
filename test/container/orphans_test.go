package container_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"upkeep/test/hardtimes/rig"
)

// orphans is a service that makes a thousand of them: each is the child of a shell that has ended.
const orphans = `#!/bin/sh
i=0
while [ $i -lt 1000 ]; do
	(sleep 0 &)
	i=$((i+1))
done
echo 1000 orphans
exec sleep 1000000
`

// descendants are the children of a process, and theirs.
func descendants(pid int) (all []int) {
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, f := range strings.Fields(string(b)) {
			child, _ := strconv.Atoi(f)
			all = append(append(all, child), descendants(child)...)
		}
	}
	return all
}

// zombies is the number of dead processes below one.
func zombies(pid int) (n int) {
	for _, p := range descendants(pid) {
		if rig.ProcState(p) == "Z" {
			n++
		}
	}
	return n
}

// TestOrphans: a thousand processes whose parents are gone leave no zombie.
func TestOrphans(t *testing.T) {
	t.Parallel()
	e := needEngine(t)
	for name, options := range map[string][]string{"PID 1": nil, "init": {"--init"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needInit(t, options)
			options := append(e.services(t, map[string]string{"orphans/run": orphans}), options...)
			c := e.run(t, options, servicesImage)
			says(t, c, "1000 orphans", 1)
			pid := c.pid()
			eventually(t, "there is no zombie", func() bool { return zombies(pid) == 0 })
			c.stop(soon, 0)
		})
	}
}
