package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"
)

// A figure is one thing that is measured.
type figure string

const (
	startAll     figure = "start"
	moreAtOnce   figure = "more"
	newEntry     figure = "entry"
	restart      figure = "death"
	processes    figure = "processes"
	pssFull      figure = "PSS, full tree"
	pssThird     figure = "PSS, a third of it"
	fdsFull      figure = "descriptors, full tree"
	fdsThird     figure = "descriptors, a third of it"
	fdsLogged    figure = "descriptors, logged services"
	idleSwitches figure = "idle context switches"
	idleSyscalls figure = "idle system calls"
)

const (
	smallServices = 100                     // in the trees where their number doesn't matter
	entrySamples  = 20                      // new entries in a run, of a supervisor that doesn't poll
	deathSamples  = 10                      // deaths in a run
	longEnough    = 1200 * time.Millisecond // up for that long, a service is restarted at once
	breath        = 30 * time.Millisecond   // between two samples
)

// A group of figures is measured together, on one peer at a time.
type group struct {
	name    string
	once    bool // it gives the same each time, or nearly so
	measure func(b *bench, ctx context.Context, p peer, run int) error
}

// groups is every group but idle, in the order of measuring.
var groups = []group{
	{"start", false, (*bench).measureStart},
	{"more", false, (*bench).measureMore},
	{"entry", false, (*bench).measureEntry},
	{"death", false, (*bench).measureDeath},
	{"size", false, (*bench).measureSize},
	{"logged", true, (*bench).measureLogged},
	{"trees", false, (*bench).measureTrees},
	{"kill", false, (*bench).measureKill},
	{"resume", false, (*bench).measureResume},
	{"orphans", false, (*bench).measureOrphans},
	{"multilog", false, (*bench).measureLog},
	{"logmemory", true, (*bench).measureLogMemory},
	{"chain", false, (*bench).measureChain},
}

// idleGroup is measured on all peers at the same time: there is nothing to get in each other's way.
const idleGroup = "idle"

func groupNames() []string {
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
	}
	return append(names, idleGroup)
}

// measure takes all samples, peers in turn. A peer that fails is out from there on; the others go on.
func (b *bench) measure(ctx context.Context) error {
	for _, g := range groups {
		if !b.wants(g.name) {
			continue
		}
		for run := range b.runs {
			if g.once && run > 0 {
				break
			}
			for _, p := range b.running() {
				began := time.Now()
				b.giveUp(p, g.name, g.measure(b, ctx, p, run))
				if ctx.Err() != nil {
					return ctx.Err()
				}
				progress("%s %d/%d %s: %.1f s", g.name, run+1, b.runs, p.name, time.Since(began).Seconds())
			}
		}
	}
	if b.wants(idleGroup) {
		progress("idle: watching for 2 × %v", b.idle)
		if err := b.measureIdle(ctx); err != nil {
			return err
		}
	}
	return errors.Join(slices.Collect(maps.Values(b.failed))...)
}

func (b *bench) wants(group string) bool { return len(b.only) == 0 || slices.Contains(b.only, group) }

// running returns the peers that have not failed.
func (b *bench) running() []peer {
	var ok []peer
	for _, p := range b.peers {
		if b.failed[p.name] == nil {
			ok = append(ok, p)
		}
	}
	return ok
}

// giveUp takes a peer out that failed.
func (b *bench) giveUp(p peer, group string, err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	b.failed[p.name] = fmt.Errorf("%s: %w", group, err)
	b.notes = append(b.notes, fmt.Sprintf("%s failed at %q and is out from there on.", p.name, group))
	progress("%s %s: %v", group, p.name, err)
}

// measureStart takes the time from the supervisor's exec until the last of all services runs. The others make no
// cgroups, so upkeep makes none either; what they cost is a figure of its own (trees.go).
func (b *bench) measureStart(ctx context.Context, p peer, _ int) error {
	q := p
	if p.name == ours {
		q.args = func(root string, max int) []string { return append([]string{"--cgroup=off"}, p.args(root, max)...) }
	}
	return b.with(ctx, q, shape{services: b.services}, func(_ *tree, took time.Duration) error {
		b.record(startAll, p, took.Seconds())
		return nil
	})
}

// measureMore adds as many services as the full tree has to one that runs: to a full tree, or to a
// smaller one where the supervisor's limit demands it.
func (b *bench) measureMore(ctx context.Context, p peer, _ int) error {
	base := b.moreBase(p)
	if base < 1 {
		return nil
	}
	return b.with(ctx, p, shape{services: base, later: b.services}, func(t *tree, _ time.Duration) error {
		if err := t.settle(ctx); err != nil {
			return err
		}
		took, err := t.add(ctx, b.services)
		if err == nil {
			b.record(moreAtOnce, p, took.Seconds())
		}
		return err
	})
}

// moreBase is how many services run before measureMore adds b.services.
func (b *bench) moreBase(p peer) int {
	if p.limit > 0 {
		return min(b.services, p.limit-b.services)
	}
	return b.services
}

// measureEntry takes the time from a symbolic link in the root to the start of its run. A supervisor
// that polls gets one sample a run, each run at another point between two polls.
func (b *bench) measureEntry(ctx context.Context, p peer, run int) error {
	samples, gap := entrySamples, breath
	if p.poll > 0 {
		samples, gap = 1, time.Duration(float64(p.poll)*(float64(run)+0.5)/float64(b.runs))
	}
	return b.with(ctx, p, shape{services: b.small(), later: samples}, func(t *tree, _ time.Duration) error {
		if p.poll == 0 {
			if err := t.settle(ctx); err != nil {
				return err
			}
		}
		for range samples {
			if err := pause(ctx, gap); err != nil {
				return err
			}
			took, err := t.add(ctx, 1)
			if err != nil {
				return err
			}
			b.record(newEntry, p, took.Seconds())
		}
		return nil
	})
}

// measureDeath kills services that have been up for long enough to be restarted at once, one by one,
// and takes the time until the run program's first action.
func (b *bench) measureDeath(ctx context.Context, p peer, _ int) error {
	return b.with(ctx, p, shape{services: b.small()}, func(t *tree, _ time.Duration) error {
		if err := pause(ctx, longEnough); err != nil {
			return err
		}
		if err := t.settle(ctx); err != nil {
			return err
		}
		victims := slices.Sorted(maps.Keys(t.pids))
		for _, pid := range victims[:min(deathSamples, len(victims))] {
			victim, err := readProcess(pid)
			if err != nil {
				return err
			}
			began := time.Now()
			if err := victim.kill(); err != nil {
				return err
			}
			again, err := t.starts.next(ctx, t)
			if err != nil {
				return err
			}
			b.record(restart, p, again.at.Sub(began).Seconds())
			if err := pause(ctx, breath); err != nil {
				return err
			}
		}
		return nil
	})
}

// measureSize counts and weighs the supervision of a full tree and of one with a third of it, so that
// what one more service costs is known without what the first one costs.
func (b *bench) measureSize(ctx context.Context, p peer, _ int) error {
	if err := b.weigh(ctx, p, b.services, pssFull, fdsFull, processes); err != nil {
		return err
	}
	return b.weigh(ctx, p, b.third(), pssThird, fdsThird, "")
}

func (b *bench) weigh(ctx context.Context, p peer, services int, pss, fds, count figure) error {
	return b.with(ctx, p, shape{services: services}, func(t *tree, _ time.Duration) error {
		if err := t.settle(ctx); err != nil {
			return err
		}
		of, err := t.supervision()
		if err != nil {
			return err
		}
		bytes, err := sum(of, process.pss)
		if err != nil {
			return err
		}
		open, err := sum(of, process.descriptors)
		if err != nil {
			return err
		}
		b.record(pss, p, float64(bytes))
		if fds != "" {
			b.record(fds, p, float64(open))
		}
		if count != "" {
			b.record(count, p, float64(len(of)))
		}
		return nil
	})
}

// measureLogged counts the descriptors of a tree of logged services.
func (b *bench) measureLogged(ctx context.Context, p peer, _ int) error {
	return b.with(ctx, p, shape{services: b.small(), logged: true}, func(t *tree, _ time.Duration) error {
		if err := t.settle(ctx); err != nil {
			return err
		}
		of, err := t.supervision()
		if err != nil {
			return err
		}
		open, err := sum(of, process.descriptors)
		if err == nil {
			b.record(fdsLogged, p, float64(open))
		}
		return err
	})
}

// small is the size of a tree where size doesn't matter, third of the one that a full tree is
// compared with.
func (b *bench) small() int { return min(b.services, smallServices) }
func (b *bench) third() int { return b.services / 3 }

// progress tells on stderr what was done; stdout is the table's.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
