package reaper

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Adopt makes this process inherit the orphans of its descendants, as PID 1 does without asking.
func Adopt() error {
	if os.Getpid() == 1 {
		return nil
	}
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// SignalOrphans sends sig to every child that nobody registered, what services left behind, unless
// its pid is in spared. It returns the pids. Without /proc nothing is known of them and nothing is
// sent. The lock that reaps is held from the listing to the last signal, so no pid can change hands.
func (r *Reaper) SignalOrphans(sig unix.Signal, spared map[int]bool) (pids []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, pid := range childPids() {
		if r.children[pid] == nil && !spared[pid] && unix.Kill(pid, sig) == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// childPids lists the children of every thread of this process: a child belongs to the thread that
// forked or inherited it.
func childPids() (pids []int) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	for _, t := range threads {
		list, err := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
		if err != nil {
			continue
		}
		for _, f := range bytes.Fields(list) {
			if pid, err := strconv.Atoi(string(f)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
