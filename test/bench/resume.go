package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// What it costs to replace upkeep while its services go on.
const (
	resumeAll  figure = "resume of all services"
	upgradeGap figure = "longest wait of a client across an upgrade"
)

// upgrades is how many upgrades the clients of measureResume go through.
const upgrades = 5

// measureResume kills upkeep, starts it again, and takes the time until every service can be controlled. Then it
// has a client ask again and again while upkeep is executed anew. Nobody else can do either.
func (b *bench) measureResume(ctx context.Context, p peer, _ int) error {
	if p.name != ours {
		return nil
	}
	return b.with(ctx, p, shape{services: b.services}, func(t *tree, _ time.Duration) error {
		if err := t.settle(ctx); err != nil {
			return err
		}
		t.cmd.Process.Kill()
		<-t.ended
		began := time.Now()
		if err := t.launch(); err != nil {
			return err
		}
		for i := range t.linked {
			if err := t.controllable(ctx, i); err != nil {
				return err
			}
		}
		b.record(resumeAll, p, time.Since(began).Seconds())
		if err := t.settle(ctx); err != nil {
			return err
		}
		if n := len(b.starts.news); n > 0 {
			return fmt.Errorf("%d services were started again", n)
		}
		for range upgrades {
			gap, err := t.upgrade(p)
			if err != nil {
				return err
			}
			b.record(upgradeGap, p, gap.Seconds())
		}
		return nil
	})
}

// controllable waits until somebody reads the control of a service, and ok says so.
func (t *tree) controllable(ctx context.Context, i int) error {
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Microsecond) {
		fd, err := unix.Open(filepath.Join(t.serviceDir(i), "supervise", "ok"), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			return unix.Close(fd)
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(end):
			return fmt.Errorf("%s is not supervised: %w", t.serviceDir(i), err)
		}
	}
}

// upgrade returns the longest time that an order to upkeep took while it was executed anew: it is answered by the
// old program or by the new one, and never refused.
func (t *tree) upgrade(p peer) (longest time.Duration, err error) {
	done := make(chan error, 1)
	go func() {
		out, err := exec.Command(p.program, "ctl", "upgrade", t.root()).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("upgrade: %w: %s", err, out)
		}
		done <- err
	}()
	for {
		began := time.Now()
		out, err := exec.Command(p.program, "svok", t.serviceDir(0)).CombinedOutput()
		if err == nil {
			out, err = exec.Command(p.program, "ctl", "status", t.root()).CombinedOutput()
		}
		if err != nil {
			return 0, fmt.Errorf("a client was refused: %w: %s", err, out)
		}
		longest = max(longest, time.Since(began))
		select {
		case err := <-done:
			return longest, err
		default:
		}
	}
}
