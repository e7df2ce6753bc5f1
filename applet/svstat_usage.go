package applet

import (
	"fmt"
	"strings"
	"time"

	"upkeep/cgroup"
	"upkeep/fsstate"
)

// usageJSON is what the tree of a service uses, as docs/svstat.md describes.
type usageJSON struct {
	Memory     *uint64      `json:"memory"`
	MemoryPeak *uint64      `json:"memory_peak"`
	CPU        *float64     `json:"cpu_seconds"`
	Tasks      *uint64      `json:"tasks"`
	OOMKills   *uint64      `json:"oom_kills"`
	Pressure   pressureJSON `json:"pressure"`
}

type pressureJSON struct {
	CPU    *shareJSON `json:"cpu"`
	Memory *shareJSON `json:"memory"`
	IO     *shareJSON `json:"io"`
}

type shareJSON struct {
	Some float64 `json:"some"`
	Full float64 `json:"full"`
}

// usageOf is nil for a service that has no cgroup now.
func usageOf(i *fsstate.Info) *usageJSON {
	if i.Cgroup == "" {
		return nil
	}
	u, err := cgroup.ReadUsage(i.Cgroup, i.Pid)
	if err != nil {
		return nil
	}
	j := &usageJSON{
		Memory: u.Memory, MemoryPeak: u.MemoryPeak, Tasks: u.Tasks, OOMKills: u.OOMKills,
		Pressure: pressureJSON{share(u.Pressure.CPU), share(u.Pressure.Memory), share(u.Pressure.IO)},
	}
	if u.CPU != nil {
		j.CPU = new(u.CPU.Seconds())
	}
	return j
}

func share(p *cgroup.Pressure) *shareJSON {
	if p == nil {
		return nil
	}
	return &shareJSON{Some: p.Some, Full: p.Full}
}

// writeUsage writes the lines of svstat --long.
func writeUsage(line func(label, format string, args ...any), i *fsstate.Info) {
	u := usageOf(i)
	if u == nil {
		return
	}
	if u.Memory != nil {
		text := size(*u.Memory)
		if u.MemoryPeak != nil {
			text += ", at most " + size(*u.MemoryPeak)
		}
		line("memory", "%s", text)
	}
	if u.CPU != nil {
		line("cpu time", "%v", time.Duration(*u.CPU*float64(time.Second)).Round(time.Millisecond))
	}
	if u.Tasks != nil {
		line("tasks", "%d", *u.Tasks)
	}
	var waits []string
	for _, w := range []struct {
		what  string
		share *shareJSON
	}{{"cpu", u.Pressure.CPU}, {"memory", u.Pressure.Memory}, {"io", u.Pressure.IO}} {
		if w.share != nil && w.share.Some > 0 {
			waits = append(waits, fmt.Sprintf("%s %.1f%%", w.what, w.share.Some))
		}
	}
	if waits != nil {
		line("pressure", "%s", strings.Join(waits, ", "))
	}
}

// size writes a number of bytes in the largest unit of which there is one: "512 B", "12.3 MiB".
func size(n uint64) string {
	const step = 1024
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	x, u := float64(n), 0
	for x >= step && u < len(units)-1 {
		x, u = x/step, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", x, units[u])
}
