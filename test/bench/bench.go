package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A bench is one run of this program: where it works, what it measures, and what came out.
type bench struct {
	options
	dir     string
	run     string // the services' program
	what    string // in words
	starts  *starts
	peers   []peer
	notes   []string
	failed  map[string]error // peers that are out, by name
	samples map[figure]map[string][]float64
}

func newBench(o options) (*bench, error) {
	if err := isolate(); err != nil {
		return nil, err
	}
	b := &bench{options: o, failed: map[string]error{}, samples: map[figure]map[string][]float64{}}
	b.peers, b.notes = installed(o.peers, o.upkeep)
	if len(b.peers) == 0 {
		return nil, errors.New("nothing to measure is installed")
	}
	var err error
	if b.dir, err = os.MkdirTemp(o.dir, "upkeep-bench-"); err != nil {
		return nil, err
	}
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return nil, err
	}
	fifo := filepath.Join(b.dir, "starts")
	if b.run, b.what, err = buildService(b.dir, fifo, o.service); err == nil {
		b.starts, err = listen(fifo)
	}
	if err != nil {
		os.RemoveAll(b.dir)
		return nil, err
	}
	return b, nil
}

// isolate makes the orphans of killed supervisors our children, so that no process gets out of sight,
// and keeps the descriptors that we happened to inherit from being inherited, and counted, further.
func isolate() error {
	const (
		prSetChildSubreaper = 36
		sysCloseRange       = 436 // on every architecture
		closeRangeCloexec   = 4
	)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return fmt.Errorf("becoming a subreaper: %w", errno)
	}
	if _, _, errno := syscall.RawSyscall(sysCloseRange, 3, math.MaxInt32, closeRangeCloexec); errno != 0 {
		return fmt.Errorf("close_range: %w", errno)
	}
	return nil
}

// close ends and removes what is left.
func (b *bench) close() error {
	return errors.Join(b.endAll(), b.starts.close(), os.RemoveAll(b.dir))
}

// record keeps one sample of a figure.
func (b *bench) record(f figure, p peer, value float64) {
	if b.samples[f] == nil {
		b.samples[f] = map[string][]float64{}
	}
	b.samples[f][p.name] = append(b.samples[f][p.name], value)
}

// with starts a tree of n services, with room for more later, gives it to measure, and ends it.
func (b *bench) with(ctx context.Context, p peer, s shape, measure func(*tree, time.Duration) error) (err error) {
	t, err := b.newTree(p, s)
	if err != nil {
		return err
	}
	defer func() {
		t.stop()
		err = errors.Join(err, b.endAll(), t.remove())
	}()
	took, err := t.start(ctx, s.services)
	if err != nil {
		return err
	}
	return measure(t, took)
}

// A shape is how big a tree is and what for.
type shape struct {
	services int
	later    int // more of them, prepared but not in the root yet
	logged   bool
	run      string            // instead of the services' program
	files    map[string]string // further ones in each service directory
}

// endAll kills every descendant of ours and reaps it, until there is none. Only trees are running then.
func (b *bench) endAll() error {
	for end := time.Now().Add(patience); ; {
		// Reaping what os/exec waits for as well is harmless: that wait then ends, too.
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.EINTR && pid <= 0 {
				break
			}
		}
		all, err := family(os.Getpid())
		if err != nil {
			return err
		}
		if len(all) <= 1 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d processes do not end, %d among them", len(all)-1, all[1].pid)
		}
		for _, p := range all[1:] {
			if err := p.kill(); err != nil {
				return fmt.Errorf("kill %d: %w", p.pid, err)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}
