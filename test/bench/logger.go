package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A load is what a logger is given to write.
type load string

const (
	ordinaryLines load = "lines"
	shortLines    load = "short"
	endless       load = "endless"
)

const (
	logRate    figure = "bytes per second, logging"
	logMemory  figure = "peak of a logger, lines"
	logShort   figure = "peak of a logger, lines of one byte"
	logEndless figure = "peak of a logger, a line without end"
)

// plainCopy is what all loggers are compared with: cat >file.
const plainCopy = "cat"

// logCommand is the command of a peer's logger that labels lines and keeps 20 files of 16 MB. It runs in a
// directory with a log directory d, whose config is what svlogd reads.
func (p peer) logCommand() []string {
	const script = "t s16777215 n20 ./d"
	switch p.name {
	case ours:
		return append([]string{p.program, "multilog"}, strings.Fields(script)...)
	case baseline:
		return append([]string{"multilog"}, strings.Fields(script)...)
	case "runit":
		return []string{"svlogd", "-t", "./d"}
	default:
		return append([]string{"s6-log"}, strings.Fields(script)...)
	}
}

const svlogdConfig = "s16777215\nn20\n"

// measureLog takes the time that a logger needs for many lines, from its start to its end. cat has its turn
// before the first peer.
func (b *bench) measureLog(ctx context.Context, p peer, _ int) error {
	if p.name == b.running()[0].name {
		took, err := b.logged(ctx, ordinaryLines, []string{"sh", "-c", "exec cat >file"})
		if err != nil {
			return err
		}
		b.record(logRate, peer{name: plainCopy}, linesSize/took.Seconds())
	}
	took, err := b.logged(ctx, ordinaryLines, p.logCommand())
	if err != nil {
		return err
	}
	b.record(logRate, p, linesSize/took.Seconds())
	return nil
}

// measureLogMemory takes the peak of a logger's memory under each load. The floods are for our budgets and
// the baseline: others need minutes for them.
func (b *bench) measureLogMemory(ctx context.Context, p peer, _ int) error {
	for l, f := range map[load]figure{ordinaryLines: logMemory, shortLines: logShort, endless: logEndless} {
		if l != ordinaryLines && p.name != ours && p.name != baseline {
			continue
		}
		g, err := b.startLogger(ctx, l, p.logCommand())
		if err != nil {
			return err
		}
		bytes, err := g.peak(ctx)
		if err := errors.Join(err, g.end()); err != nil {
			return err
		}
		b.record(f, p, float64(bytes))
	}
	return nil
}

// logged returns how long a logger takes for a load.
func (b *bench) logged(ctx context.Context, l load, command []string) (time.Duration, error) {
	g, err := b.startLogger(ctx, l, command)
	if err != nil {
		return 0, err
	}
	g.write.Close()
	err = g.logger.Wait()
	took := time.Since(g.began)
	return took, errors.Join(err, g.end())
}

// A logging is a logger at work, in a new directory.
type logging struct {
	dir              string
	producer, logger *exec.Cmd
	read, write      *os.File // ours; while write is open the logger does not end
	began            time.Time
}

func (b *bench) startLogger(ctx context.Context, l load, command []string) (g *logging, err error) {
	input, err := b.inputOf(l)
	if err != nil {
		return nil, err
	}
	g = &logging{}
	if g.dir, err = os.MkdirTemp(b.dir, "log-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.end())
		}
	}()
	if err := os.Mkdir(filepath.Join(g.dir, "d"), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(g.dir, "d", "config"), []byte(svlogdConfig), 0o644); err != nil {
		return nil, err
	}
	if g.read, g.write, err = os.Pipe(); err != nil {
		return nil, err
	}
	g.producer = exec.CommandContext(ctx, input[0], input[1:]...)
	g.producer.Stdout = g.write
	g.logger = exec.CommandContext(ctx, command[0], command[1:]...)
	g.logger.Dir, g.logger.Stdin, g.logger.Stderr = g.dir, g.read, os.Stderr
	// What was written so far is not the logger's to wait for.
	syscall.Sync()
	g.began = time.Now()
	if err := g.logger.Start(); err != nil {
		return nil, err
	}
	return g, g.producer.Start()
}

// peak waits until the logger has read everything, and returns the most memory that it has had, in bytes.
func (g *logging) peak(ctx context.Context) (int, error) {
	if err := g.producer.Wait(); err != nil {
		return 0, fmt.Errorf("%v: %w", g.producer.Args, err)
	}
	for unread := 1; unread > 0; {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
		var err error
		if unread, err = unix.IoctlGetInt(int(g.read.Fd()), unix.TIOCINQ); err != nil {
			return 0, err
		}
	}
	// The last of it is still to be written.
	if err := pause(ctx, 100*time.Millisecond); err != nil {
		return 0, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.logger.Process.Pid))
	if err != nil {
		return 0, err
	}
	kib, err := numberAfter(status, "VmHWM:")
	return kib << 10, err
}

// end ends what still runs, and makes room for the next one.
func (g *logging) end() error {
	for _, f := range []*os.File{g.read, g.write} {
		if f != nil {
			f.Close()
		}
	}
	for _, cmd := range []*exec.Cmd{g.producer, g.logger} {
		if cmd != nil && cmd.Process != nil && cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	return os.RemoveAll(g.dir)
}
