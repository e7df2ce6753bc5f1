package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"
)

// measureIdle starts a tree of every peer and watches all of them do nothing: first from outside, by
// the context switches that the kernel counts, then, where there is strace, by their system calls.
func (b *bench) measureIdle(ctx context.Context) (err error) {
	var all, trees []*tree
	defer func() {
		for _, t := range all {
			t.stop()
		}
		err = errors.Join(err, b.endAll())
		for _, t := range all {
			err = errors.Join(err, t.remove())
		}
	}()
	for _, p := range b.running() {
		t, err := b.newTree(p, shape{services: b.small()})
		if err != nil {
			return err
		}
		all = append(all, t)
		if _, err := t.start(ctx, b.small()); err != nil {
			b.giveUp(p, idleGroup, err)
			continue
		}
		trees = append(trees, t)
	}
	for _, t := range trees {
		if err := t.settle(ctx); err != nil {
			return err
		}
	}
	if err := b.watchSwitches(ctx, trees); err != nil {
		return err
	}
	if _, err := exec.LookPath("strace"); err != nil {
		b.notes = append(b.notes, "System calls are not counted: no strace here.")
		return nil
	}
	return b.watchCalls(ctx, trees)
}

// watchSwitches counts the context switches of every tree's supervision.
func (b *bench) watchSwitches(ctx context.Context, trees []*tree) error {
	count := func() ([]int, error) {
		counts := make([]int, len(trees))
		for i, t := range trees {
			of, err := t.supervision()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.peer.name, err)
			}
			if counts[i], err = sum(of, process.switches); err != nil {
				return nil, fmt.Errorf("%s: %w", t.peer.name, err)
			}
		}
		return counts, nil
	}
	before, err := count()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := pause(ctx, b.idle); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	after, err := count()
	if err != nil {
		return err
	}
	for i, t := range trees {
		b.record(idleSwitches, t.peer, float64(after[i]-before[i])/took)
	}
	return nil
}

// watchCalls counts the system calls of every tree's supervision.
func (b *bench) watchCalls(ctx context.Context, trees []*tree) error {
	calls, errs := make([]float64, len(trees)), make([]error, len(trees))
	var all sync.WaitGroup
	for i, t := range trees {
		all.Go(func() { calls[i], errs[i] = t.callsPerSecond(ctx, b.idle) })
	}
	all.Wait()
	for i, t := range trees {
		if errs[i] != nil {
			b.notes = append(b.notes, fmt.Sprintf("System calls of %s are not counted: strace failed.", t.peer.name))
			progress("strace %s: %v", t.peer.name, errs[i])
			continue
		}
		b.record(idleSyscalls, t.peer, calls[i])
	}
	return ctx.Err()
}
