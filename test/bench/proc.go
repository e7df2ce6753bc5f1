package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A process is what /proc/PID/stat says of one. Pid and start time together name it for good.
type process struct {
	pid, parent int
	state       byte
	started     uint64
	ticks       uint64 // user and system time used
}

// readProcess reads one process; it fails with fs.ErrNotExist or ESRCH where there is none.
func readProcess(pid int) (process, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	return parseStat(string(text))
}

// parseStat parses the line of /proc/PID/stat; the name in it may hold blanks and parentheses.
func parseStat(line string) (process, error) {
	name, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if name < 0 || end < name {
		return process{}, fmt.Errorf("not a stat line: %q", line)
	}
	// The first of these fields is the third of proc(5)'s numbering.
	fields := strings.Fields(line[end+1:])
	if len(fields) < 20 {
		return process{}, fmt.Errorf("not a stat line: %q", line)
	}
	field := func(n int) uint64 { v, _ := strconv.ParseUint(fields[n-3], 10, 64); return v }
	pid, err := strconv.Atoi(strings.TrimSpace(line[:name]))
	return process{
		pid:     pid,
		state:   fields[0][0],
		parent:  int(field(4)),
		ticks:   field(14) + field(15),
		started: field(22),
	}, err
}

// family returns the process pid and its descendants that have not ended, parents before children.
func family(pid int) ([]process, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := map[int][]process{}
	var of []process
	for _, name := range names {
		n, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		p, err := readProcess(n)
		if err != nil || p.state == 'Z' || p.state == 'X' {
			continue // it ended meanwhile
		}
		children[p.parent] = append(children[p.parent], p)
		if p.pid == pid {
			of = append(of, p)
		}
	}
	for i := 0; i < len(of); i++ {
		of = append(of, children[of[i].pid]...)
	}
	return of, nil
}

// kill sends KILL to p if it still is the process that was seen. Go holds on to it by a pidfd, so
// that it can't become another one between the look and the signal.
func (p process) kill() error {
	handle, err := os.FindProcess(p.pid)
	if err != nil {
		return err
	}
	defer handle.Release()
	if now, err := readProcess(p.pid); err != nil || now.started != p.started {
		return nil
	}
	if err := handle.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// pss returns the process's proportional share of memory in bytes.
func (p process) pss() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
	if err != nil {
		return 0, err
	}
	kib, err := numberAfter(text, "Pss:")
	return kib << 10, err
}

// descriptors returns how many the process has open.
func (p process) descriptors() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	return len(entries), err
}

// switches returns how often the process, all threads together, has left a CPU so far: every wake-up
// ends in one such switch.
func (p process) switches() (int, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*/status", p.pid))
	if err != nil {
		return 0, err
	}
	if len(tasks) == 0 {
		return 0, syscall.ESRCH
	}
	total := 0
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if err != nil {
			return 0, err
		}
		for _, field := range []string{"\nvoluntary_ctxt_switches:", "\nnonvoluntary_ctxt_switches:"} {
			n, err := numberAfter(status, field)
			if err != nil {
				return 0, err
			}
			total += n
		}
	}
	return total, nil
}

// numberAfter returns the first number after a field's name.
func numberAfter(text []byte, field string) (int, error) {
	_, rest, found := bytes.Cut(text, []byte(field))
	words := bytes.Fields(rest)
	if !found || len(words) == 0 {
		return 0, fmt.Errorf("no %q in %q", field, text)
	}
	return strconv.Atoi(string(words[0]))
}

// sum adds up one property of processes.
func sum(of []process, property func(process) (int, error)) (total int, err error) {
	for _, p := range of {
		n, err := property(p)
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", p.pid, err)
		}
		total += n
	}
	return total, nil
}
