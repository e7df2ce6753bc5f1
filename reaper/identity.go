package reaper

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// World names the running system that pids belong to: the boot, and the PID namespace by its first process.
// Two worlds never have the same name. It is empty where there is no /proc to ask.
func World() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	first, err := StartTime(1)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + "/" + strconv.FormatUint(first, 10)
}

// A Process is what /proc/PID/stat says of one. Together with its pid, Start tells it from every other
// process of its world.
type Process struct {
	Pid, Parent, Group, Session int
	Threads                     int
	Start                       uint64 // in ticks of 10 ms since the boot
	Zombie                      bool
	Status                      unix.WaitStatus // of a zombie, where this process may know
}

// Look reads what is known of a process.
func Look(pid int) (Process, error) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Process{}, err
	}
	defer unix.Close(fd)
	var buf [1024]byte // twice as much as all its numbers can take
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return Process{}, err
	}
	return parseStat(pid, buf[:n])
}

// StartTime is when a process was started, in ticks since the boot.
func StartTime(pid int) (uint64, error) {
	p, err := Look(pid)
	return p.Start, err
}

// parseStat reads /proc/PID/stat, proc(5). The name in parentheses can hold anything.
func parseStat(pid int, stat []byte) (Process, error) {
	const state, parent, group, session, threads, start, status = 0, 1, 2, 3, 17, 19, 49 // fields after the name
	i := bytes.LastIndexByte(stat, ')')
	f := bytes.Fields(stat[i+1:])
	if i < 0 || len(f) <= start {
		return Process{}, fmt.Errorf("/proc/%d/stat is cut short", pid)
	}
	p := Process{Pid: pid, Zombie: f[state][0] == 'Z' || f[state][0] == 'X'}
	var errs [5]error
	p.Parent, errs[0] = strconv.Atoi(string(f[parent]))
	p.Group, errs[1] = strconv.Atoi(string(f[group]))
	p.Session, errs[2] = strconv.Atoi(string(f[session]))
	p.Threads, errs[3] = strconv.Atoi(string(f[threads]))
	p.Start, errs[4] = strconv.ParseUint(string(f[start]), 10, 64)
	if p.Zombie && len(f) > status {
		n, _ := strconv.ParseUint(string(f[status]), 10, 32)
		p.Status = unix.WaitStatus(n)
	}
	for _, err := range errs {
		if err != nil {
			return Process{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
	}
	return p, nil
}

// Tick is the present time in the unit of Process.Start. A process that is started from now on has at least
// this one.
func Tick() uint64 {
	const perSecond = 100 // the kernel's USER_HZ, the same on every architecture that Go has
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0
	}
	return uint64(now.Nano()) / (1e9 / perSecond)
}
