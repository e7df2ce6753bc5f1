package cgroup

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a group uses. What the kernel does not count here is nil.
type Usage struct {
	Memory     *uint64        // bytes
	MemoryPeak *uint64        // bytes, since the group was made
	CPU        *time.Duration // user and system, since the group was made
	Tasks      *uint64        // threads
	OOMKills   *uint64        // processes that were killed for want of memory
	Pressure   struct{ CPU, Memory, IO *Pressure }
}

// Pressure is for how much of the last ten seconds some or all tasks had to wait, in percent.
type Pressure struct{ Some, Full float64 }

// ReadUsage reads what the group uses whose leaf is at path, as Group.Path has it. A service without limits
// shares the counting of memory with its logger. Where only v1 counts memory, that of a service with a limit on it
// is known while the service has the process pid, which may be 0. The error says that there is no such group.
func ReadUsage(path string, pid int) (u Usage, err error) {
	if _, err := readFile(filepath.Join(path, "cgroup.events")); err != nil {
		return u, err
	}
	// The controllers that count may end at the node of the service.
	from := []string{path}
	if filepath.Base(path) == "run" {
		from = append(from, filepath.Dir(path))
	}
	u.Memory = number(from, "memory.current")
	u.MemoryPeak = number(from, "memory.peak")
	u.OOMKills = keyed(from, memoryEvents, "oom_kill")
	if u.Memory == nil && pid != 0 {
		from := v1Groups(path, pid, "memory")
		u.Memory = number(from, "memory.usage_in_bytes")
		u.MemoryPeak = number(from, "memory.max_usage_in_bytes")
		u.OOMKills = keyed(from, "memory.oom_control", "oom_kill")
	}
	if usec := keyed(from, "cpu.stat", "usage_usec"); usec != nil {
		cpu := time.Duration(*usec) * time.Microsecond
		u.CPU = &cpu
	}
	if u.Tasks = number(from[:1], "pids.current"); u.Tasks == nil {
		u.Tasks = countTasks(path)
	}
	u.Pressure.CPU = pressure(path, "cpu.pressure")
	u.Pressure.Memory = pressure(path, "memory.pressure")
	u.Pressure.IO = pressure(path, "io.pressure")
	return u, nil
}

// v1Groups returns where the group of a service in the v1 hierarchy of a controller may be, from the group that
// its process is in; nothing where that is not the service's own.
func v1Groups(leaf string, pid int, controller string) (dirs []string) {
	text, err := readFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	paths, _, err := groupsOf(filepath.Join("/proc", strconv.Itoa(pid)))
	path := paths[controller]
	node := filepath.Dir(leaf)
	if err != nil || filepath.Base(path) != filepath.Base(node) || !strings.HasPrefix(filepath.Base(filepath.Dir(path)), tagPrefix) {
		return nil
	}
	for _, p := range candidates(parseMounts(text), path, func(m mount) bool { return m.has(controller) }) {
		if p.dir != p.point {
			dirs = append(dirs, p.dir)
		}
	}
	return dirs
}

// number reads a file that holds a number, from the first group that has it.
func number(groups []string, file string) *uint64 {
	for _, dir := range groups {
		text, err := readFile(filepath.Join(dir, file))
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64); err == nil {
			return &n
		}
	}
	return nil
}

// keyed reads the number of a key, from the first group that has it.
func keyed(groups []string, file, key string) *uint64 {
	for _, dir := range groups {
		text, err := readFile(filepath.Join(dir, file))
		if err != nil {
			continue
		}
		if n, ok := value(text, key); ok {
			return &n
		}
	}
	return nil
}

func countTasks(path string) *uint64 {
	n, ok := uint64(0), false
	each(path, func(path string) {
		if text, err := readFile(filepath.Join(path, "cgroup.threads")); err == nil {
			n += uint64(bytes.Count(text, []byte("\n")))
			ok = true
		}
	})
	if !ok {
		return nil
	}
	return &n
}

// pressure reads lines like "some avg10=0.00 avg60=0.00 avg300=0.00 total=0".
func pressure(dir, file string) *Pressure {
	text, err := readFile(filepath.Join(dir, file))
	if err != nil {
		return nil
	}
	var p Pressure
	found := false
	for line := range bytes.Lines(text) {
		words := bytes.Fields(line)
		if len(words) < 2 {
			continue
		}
		average, ok := bytes.CutPrefix(words[1], []byte("avg10="))
		x, err := strconv.ParseFloat(string(average), 64)
		if !ok || err != nil {
			continue
		}
		switch string(words[0]) {
		case "some":
			p.Some, found = x, true
		case "full":
			p.Full = x
		}
	}
	if !found {
		return nil
	}
	return &p
}
