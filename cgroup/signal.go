package cgroup

import (
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// rounds bounds how often a group is looked at for processes that were started meanwhile.
const rounds = 20

// Signal sends signals, in order, to each process of the group but one, which may be 0. Processes that are
// started meanwhile get them too, if the group does not start them for ever. No other process gets them,
// whoever may have got the number of one that has ended.
func (g *Group) Signal(except int, sigs ...unix.Signal) error {
	done := map[int]bool{except: true, os.Getpid(): true}
	for range rounds {
		pids, err := g.Pids()
		if err != nil {
			return err
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return done[pid] })
		if len(pids) == 0 {
			return nil
		}
		// Not all at a time: descriptors may be scarce.
		const few = 256
		for list := range slices.Chunk(pids, few) {
			if err := g.signal(list, sigs); err != nil {
				return err
			}
		}
		for _, pid := range pids {
			done[pid] = true
		}
	}
	return nil
}

// signal takes hold of the processes, and then looks whether they are in the group. One whose number is
// there and that is not itself has ended, and its handle says so.
func (g *Group) signal(pids []int, sigs []unix.Signal) (err error) {
	handles := make(map[int]int, len(pids))
	defer func() {
		for _, fd := range handles {
			unix.Close(fd)
		}
	}()
	for _, pid := range pids {
		fd, e := unix.PidfdOpen(pid, 0)
		switch e {
		case nil:
			handles[pid] = fd
		case unix.ESRCH, unix.EINVAL: // it has ended, or was a thread's number since
		default:
			err = &OpError{"signal the processes of", g.leaf, e}
		}
	}
	now, e := g.Pids()
	if e != nil {
		return e
	}
	for _, pid := range now {
		fd, held := handles[pid]
		if !held {
			continue
		}
		for _, sig := range sigs {
			if e := unix.PidfdSendSignal(fd, sig, nil, 0); e != nil && e != unix.ESRCH {
				err = &OpError{"signal the processes of", g.leaf, e}
			}
		}
	}
	return err
}

// Kill kills everything in the group, frozen or not. It does not wait until all are dead.
func (g *Group) Kill() error {
	g.killed.Store(true)
	err := writeFile(filepath.Join(g.leaf, "cgroup.kill"), "1")
	if err == nil || !exists(g.leaf) {
		return nil
	}
	return g.killEach()
}

// killEach does what the kernel has no cgroup.kill for before 5.14, and never has in a threaded group.
// What is frozen cannot fork, and dies of a KILL all the same.
func (g *Group) killEach() error {
	g.Freeze(true)
	err := g.Signal(0, unix.SIGKILL)
	g.Freeze(false)
	return err
}
