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
//
// One that Start may be about to register gets KILL only; sure is false if there was one.
func (r *Reaper) SignalOrphans(sig unix.Signal, spared map[int]bool) (pids []int, sure bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sure = true
	for _, pid := range childPids("self") {
		switch {
		case r.children[pid] != nil || spared[pid]:
		case sig != unix.SIGKILL && r.mayBeForked(pid):
			sure = false
		case unix.Kill(pid, sig) == nil:
			pids = append(pids, pid)
		}
	}
	return pids, sure
}

// forkTicks is how long a fork takes at most, unless it hangs.
const forkTicks = 100

// mayBeForked tells whether a call of Start may have forked the child. The lock is held.
func (r *Reaper) mayBeForked(pid int) bool {
	if r.forks == 0 {
		return false
	}
	p, err := Look(pid)
	return err != nil || p.Start >= r.forking && Tick() < p.Start+forkTicks
}

// Children are those of a process, as far as they can be looked at.
func Children(parent int) (list []Process) {
	for _, pid := range childPids(strconv.Itoa(parent)) {
		if p, err := Look(pid); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// childPids lists the children of every thread of a process: a child belongs to the thread that
// forked or inherited it.
func childPids(parent string) (pids []int) {
	threads, err := os.ReadDir("/proc/" + parent + "/task")
	if err != nil {
		return nil
	}
	for _, t := range threads {
		list, err := os.ReadFile("/proc/" + parent + "/task/" + t.Name() + "/children")
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
