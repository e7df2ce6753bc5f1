package main

import (
	"context"
	"time"
)

// What a cgroup for each service costs, is measured against upkeep that makes none.
const (
	startBare    figure = "start without cgroups"
	startTrees   figure = "start with cgroups"
	pssBare      figure = "PSS without cgroups"
	pssTrees     figure = "PSS with cgroups"
	pssBareThird figure = "PSS without cgroups, a third of the tree"
	pssTreeThird figure = "PSS with cgroups, a third of the tree"
)

// measureTrees starts and weighs upkeep both ways, in turn.
func (b *bench) measureTrees(ctx context.Context, p peer, _ int) error {
	if p.name != ours {
		return nil
	}
	for _, way := range []struct {
		option            string
		start, full, less figure
	}{
		{"--cgroup=off", startBare, pssBare, pssBareThird},
		{"--cgroup=auto", startTrees, pssTrees, pssTreeThird},
	} {
		q := p
		q.args = func(root string, max int) []string { return append([]string{way.option}, p.args(root, max)...) }
		err := b.with(ctx, q, shape{services: b.services}, func(_ *tree, took time.Duration) error {
			b.record(way.start, p, took.Seconds())
			return nil
		})
		if err == nil {
			err = b.weigh(ctx, q, b.services, way.full, "", "")
		}
		if err == nil {
			err = b.weigh(ctx, q, b.third(), way.less, "", "")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// treeStart is what cgroups add to the time of a start, as a share of it.
func (b *bench) treeStart(peer string) (float64, bool) {
	with, ok1 := median(b.samples[startTrees][peer])
	without, ok2 := median(b.samples[startBare][peer])
	return with/without - 1, ok1 && ok2
}

// treeSize is what the cgroup of a further service adds to the memory of the supervision.
func (b *bench) treeSize(peer string) (float64, bool) {
	with, ok1 := b.slope(pssTrees, pssTreeThird)(peer)
	without, ok2 := b.slope(pssBare, pssBareThird)(peer)
	return with - without, ok1 && ok2
}
