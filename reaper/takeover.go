package reaper

import (
	"golang.org/x/sys/unix"
)

// TakeOver registers owner for the end of a process that this Reaper has not started: a child of this process
// from before it has executed itself anew, or somebody else's, which an earlier process has started. start
// is when that process was started, in ticks; another one of that pid is none of ours. It returns false if
// the process is gone. Started is not called.
//
// The end of a child comes as always. For anybody else it returns a descriptor that polls as readable when the
// process has ended; the caller then calls Ended, which closes it. Otherwise it returns -1.
func (r *Reaper) TakeOver(pid int, start uint64, owner Owner) (watch int, alive bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pid <= 1 || r.children[pid] != nil {
		return -1, false
	}
	c := &child{owner: owner, pidfd: -1}
	if e, dead := r.early[pid]; dead { // a child that has ended since, and was reaped
		delete(r.early, pid)
		owner.Exited(e)
		return -1, true
	}
	if !isChild(pid) {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return -1, false
		}
		c.pidfd = fd
	}
	// Looked at only now: the descriptor, or our not having reaped it, holds the pid.
	if now, err := Look(pid); err != nil || now.Start != start || now.Zombie && c.pidfd >= 0 {
		c.close()
		return -1, false
	}
	r.register(pid, c)
	return c.pidfd, true
}

// isChild tells whether pid is a child of this process, dead or alive.
func isChild(pid int) bool {
	var info siginfo
	for {
		err := unix.Waitid(unix.P_PID, pid, info.pointer(), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err == nil
		}
	}
}

// Has tells whether a process has an owner.
func (r *Reaper) Has(pid int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.children[pid] != nil
}

// Kept tells whether the end of a child waits to be taken over, see Keep.
func (r *Reaper) Kept(pid int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, kept := r.early[pid]
	return kept
}

// Ended delivers the end of a process that was taken over from somebody else. How it has ended is always known
// from Linux 6.15 on, and before that if its parent has not reaped it yet.
func (r *Reaper) Ended(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.children[pid]
	if c == nil || c.pidfd < 0 {
		return
	}
	delete(r.children, pid)
	e := Exit{Pid: pid}
	e.Status, e.Unknown = exitStatus(pid, c.pidfd)
	c.close()
	c.owner.Exited(e)
}

// exitStatus finds out how the process of a pidfd has ended. The kernel says so of a zombie in /proc, and of one
// that is reaped, which can be at any moment, to whoever has its pidfd.
func exitStatus(pid, pidfd int) (status unix.WaitStatus, unknown bool) {
	if status, ok := reapedStatus(pidfd); ok {
		return status, false
	}
	p, err := Look(pid)
	if err == nil && p.Zombie && unix.PidfdSendSignal(pidfd, 0, nil, 0) == nil { // it still has its pid, so it is what was looked at
		return p.Status, false
	}
	status, ok := reapedStatus(pidfd) // it was reaped meanwhile
	return status, !ok
}

// reapedStatus is known from Linux 6.15 on.
func reapedStatus(pidfd int) (status unix.WaitStatus, ok bool) {
	const exit = 1 << 3 // PIDFD_INFO_EXIT
	info := unix.PidfdInfo{Mask: exit}
	if unix.IoctlPidfdInfo(pidfd, &info) != nil || info.Mask&exit == 0 {
		return 0, false
	}
	return unix.WaitStatus(info.Exit_code), true
}

// Disown forgets a process without waiting for its end, so that another owner can take it over.
func (r *Reaper) Disown(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.children[pid]; c != nil {
		c.close()
		delete(r.children, pid)
	}
}

// StartTime is when a process that is registered was started, in ticks since the boot, or 0.
func (r *Reaper) StartTime(pid int) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.children[pid] == nil {
		return 0
	}
	start, _ := StartTime(pid)
	return start
}

func (c *child) close() {
	if c.pidfd >= 0 {
		unix.Close(c.pidfd)
		c.pidfd = -1
	}
}

// signal is kill(2) for a process that cannot have been replaced by another.
func (c *child) signal(pid int, sig unix.Signal, group bool) error {
	switch {
	case c.pidfd < 0 && group:
		return unix.Kill(-pid, sig)
	case c.pidfd < 0:
		return unix.Kill(pid, sig)
	case group:
		if err := unix.PidfdSendSignal(c.pidfd, 0, nil, 0); err != nil {
			return err
		}
		return unix.Kill(-pid, sig)
	}
	return unix.PidfdSendSignal(c.pidfd, sig, nil, 0)
}
