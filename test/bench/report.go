package main

import (
	"fmt"
	"strings"
)

// A row of the report is one figure, or what follows from several.
type row struct {
	title  string
	value  func(peer string) (value float64, ok bool)
	show   func(float64) string
	budget string
	// within tells whether upkeep's value keeps the budget; base is the baseline's, NaN where it was
	// not measured.
	within func(value, base float64) bool
}

// rows are the report's, top to bottom.
func (b *bench) rows() []row {
	n := b.services
	return []row{
		{
			"processes beside the services", b.median(processes), number,
			"1", atMost(1),
		}, {
			fmt.Sprintf("memory (PSS) of the supervision, %d services", n), b.median(pssFull), size,
			"≤ 10 MiB", atMost(10 << 20),
		}, {
			"memory (PSS) per further service", b.slope(pssFull, pssThird), size,
			"≤ 4 KiB", atMost(4 << 10),
		}, {
			"descriptors per service", b.slope(fdsFull, fdsThird), number,
			"≤ 3", atMost(3),
		}, {
			"descriptors per logged service and its logger", b.loggedDescriptors, number,
			"≤ 4 + 3", atMost(7),
		}, {
			fmt.Sprintf("start until all %d run, without cgroups", n), b.median(startAll), duration,
			"≤ 0.5 × " + baseline, atMostTimes(0.5),
		}, {
			fmt.Sprintf("%d more entries at once until all run", n), b.median(moreAtOnce), duration,
			"≤ 1.5 s", atMost(1.5),
		}, {
			"new entry → its run executes", b.median(newEntry), duration,
			"≤ 10 ms", atMost(0.010),
		}, {
			"kill -9 → run executes again", b.median(restart), duration,
			"≤ 1.0 × " + baseline, atMostTimes(1.0),
		}, {
			fmt.Sprintf("idle, context switches per second, %d services", b.small()), b.median(idleSwitches), number,
			"0 but for a rescan a minute", atMost(1), // which takes some 35
		}, {
			fmt.Sprintf("idle, system calls per second, %d services", b.small()), b.median(idleSyscalls), number,
			"", nil,
		}, {
			fmt.Sprintf("start until all %d run, each in a cgroup of its own", n), b.median(startTrees), duration,
			"", nil,
		}, {
			fmt.Sprintf("what cgroups add to the start of %d", n), b.treeStart, percent,
			"≤ 25 %", atMost(0.25),
		}, {
			"what its cgroup adds to the memory per service", b.treeSize, size,
			"≤ 1.5 kB", atMost(1500),
		}, {
			fmt.Sprintf("svc -d → a tree of %d that must be killed is gone", crowdSize), b.median(treeKill), duration,
			"≤ 100 ms", atMost(0.100),
		}, {
			fmt.Sprintf("kill -9 of the supervisor, started again → all %d can be controlled, none restarted", n), b.median(resumeAll), duration,
			"≤ 300 ms", atMost(0.300),
		}, {
			"longest wait of clients across an upgrade, none refused", b.median(upgradeGap), duration,
			"≤ 50 ms", atMost(0.050),
		}, {
			fmt.Sprintf("processor time to reap one of %d orphans", orphanCount), b.median(orphanCost), duration,
			"≤ 20 µs", atMost(20e-6),
		}, {
			"the same, in units of `" + plainInit + " -s`", b.timesInit, number,
			"", nil,
		}, {
			"last of them dead → no zombie is left", b.median(orphanWait), duration,
			"≤ 1 s", atMost(1),
		}, {
			fmt.Sprintf("logger, lines from a pipe, %d MiB", linesSize>>20), b.median(logRate), rate,
			"≥ 7 × " + baseline, atLeastTimes(7),
		}, {
			"the same, in units of `cat >file`", b.timesCat, number,
			"≥ 0.4", atLeast(0.4),
		}, {
			"peak memory (VmHWM) of the logger", b.median(logMemory), size,
			"≤ 4 MiB", atMost(4 << 20),
		}, {
			"the same, lines of one byte", b.median(logShort), size,
			"≤ 4 MiB", atMost(4 << 20),
		}, {
			"the same, one line of 1 GiB", b.median(logEndless), size,
			"≤ 4 MiB", atMost(4 << 20),
		}, {
			"`setuidgid nobody true`", b.median(chainStart), duration,
			"≤ 3 ms more than " + baseline, atMostMore(0.003),
		},
	}
}

// median gives the median of one figure's samples.
func (b *bench) median(f figure) func(string) (float64, bool) {
	return func(peer string) (float64, bool) { return median(b.samples[f][peer]) }
}

// slope gives what a further service adds, from a full tree and one with a third of it.
func (b *bench) slope(full, third figure) func(string) (float64, bool) {
	return func(peer string) (float64, bool) {
		more, ok1 := median(b.samples[full][peer])
		less, ok2 := median(b.samples[third][peer])
		return (more - less) / float64(b.services-b.third()), ok1 && ok2
	}
}

// timesCat gives a logger's speed in units of cat's.
func (b *bench) timesCat(peer string) (float64, bool) {
	rate, ok1 := median(b.samples[logRate][peer])
	cat, ok2 := median(b.samples[logRate][plainCopy])
	return rate / cat, ok1 && ok2
}

// loggedDescriptors gives what a logged service adds to what a supervisor without services has open.
func (b *bench) loggedDescriptors(peer string) (float64, bool) {
	logged, ok1 := median(b.samples[fdsLogged][peer])
	third, ok2 := median(b.samples[fdsThird][peer])
	each, ok3 := b.slope(fdsFull, fdsThird)(peer)
	none := third - each*float64(b.third())
	return (logged - none) / float64(b.small()), ok1 && ok2 && ok3
}

// report returns the markdown of everything measured, and whether upkeep exceeds a budget.
func (b *bench) report() (text string, exceeded bool) {
	var t strings.Builder
	t.WriteString(beginMarker + "\n")
	fmt.Fprintf(&t, "Measured on %s. %s.\n\n", machine(), versions(b.peers))

	t.WriteString("| |")
	for _, p := range b.peers {
		fmt.Fprintf(&t, " %s |", p.name)
	}
	t.WriteString(" budget |\n|---|" + strings.Repeat("---:|", len(b.peers)) + "---|\n")
	for _, r := range b.rows() {
		line, missed := b.line(r)
		t.WriteString(line)
		exceeded = exceeded || missed
	}
	fmt.Fprintf(&t, "\nIn parentheses: the ratio to %s. Medians of %s, the supervisors taking turns.\n\n", baseline, count(b.runs, "run"))
	for _, note := range append(b.footnotes(), b.notes...) {
		t.WriteString("- " + note + "\n")
	}
	t.WriteString(endMarker + "\n")
	return t.String(), exceeded
}

// line returns one row of the table, nothing where nobody was measured.
func (b *bench) line(r row) (text string, exceeded bool) {
	var t strings.Builder
	fmt.Fprintf(&t, "| %s |", r.title)
	base, based := r.value(baseline)
	measured := false
	budget := r.budget
	for _, p := range b.peers {
		v, ok := r.value(p.name)
		if !ok {
			t.WriteString(" – |")
			continue
		}
		measured = true
		fmt.Fprintf(&t, " %s", r.show(v))
		if based && p.name != baseline && base > 0 {
			fmt.Fprintf(&t, " (%s)", ratio(v/base))
		}
		t.WriteString(" |")
		if p.name == ours && r.within != nil {
			verdict := "kept"
			if !r.within(v, orNaN(base, based)) {
				verdict, exceeded = "**exceeded**", true
			}
			budget += ", " + verdict
		}
	}
	if !measured {
		return "", false
	}
	fmt.Fprintf(&t, " %s |\n", budget)
	return t.String(), exceeded
}

// footnotes say what the work was, and where peers were not given quite the same.
func (b *bench) footnotes() []string {
	notes := []string{"Every service is " + b.what + "."}
	if cat, ok := b.median(logRate)(plainCopy); ok {
		notes = append(notes, fmt.Sprintf("Loggers are multilog, svlogd and s6-log; each labels lines of about 100 bytes, which cat writes into its pipe from a"+
			" file in the page cache, and keeps 20 files of 16 MB in a new directory of its own. A `cat >file` in their place wrote %s.", rate(cat)))
	}
	if _, ok := b.median(chainStart)(ours); ok {
		notes = append(notes, "The counterparts of setuidgid are chpst -u and s6-setuidgid.")
	}
	var inits []string
	for _, i := range minimalInits {
		if cost, ok := b.median(orphanCost)(i.name); ok {
			inits = append(inits, fmt.Sprintf("`%s` %s", strings.TrimSuffix(strings.Join(i.command, " "), " --"), duration(cost)))
		}
	}
	if inits != nil {
		notes = append(notes, "An orphan is a process whose parent has ended; they are made one after another, on all processors. In upkeep's place "+
			strings.Join(inits, " and ")+" took for one.")
	}
	var polling []string
	for _, p := range b.peers {
		_, more := b.median(moreAtOnce)(p.name)
		_, entry := b.median(newEntry)(p.name)
		if more && b.moreBase(p) < b.services {
			notes = append(notes, fmt.Sprintf("%s carries %d services at most: the %d more come to %d running ones.",
				p.name, p.limit, b.services, b.moreBase(p)))
		}
		if p.rescan != nil && (more || entry) {
			notes = append(notes, fmt.Sprintf("%s does not look at its root by itself: %s is run after each change, and counted.",
				p.name, strings.Join(p.rescan("ROOT"), " ")))
		}
		if p.poll > 0 && entry {
			polling = append(polling, fmt.Sprintf("%s (every %.0f s)", p.name, p.poll.Seconds()))
		}
	}
	if len(polling) > 0 {
		notes = append(notes, "New entries of those that only poll, "+strings.Join(polling, " and ")+
			", were made at times spread evenly between two polls.")
	}
	return notes
}
