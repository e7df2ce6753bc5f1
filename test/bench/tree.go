package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// A tree is one supervisor with the services below its root. Service directories are prepared beside
// the root and enter it as symbolic links, as is the custom with all of the peers.
type tree struct {
	peer peer
	dir  string
	shape
	made   int // service directories
	linked int // those of them that are in the root
	starts *starts
	pids   map[int]bool // of services, as they said

	cmd     *exec.Cmd
	began   time.Time
	ended   chan struct{}
	outFile *os.File
}

// newTree prepares service directories, none of them in the root yet.
func (b *bench) newTree(p peer, s shape) (*tree, error) {
	dir, err := os.MkdirTemp(b.dir, p.name+"-")
	if err != nil {
		return nil, err
	}
	t := &tree{peer: p, dir: dir, shape: s, starts: b.starts, pids: map[int]bool{}}
	if err := os.Mkdir(t.root(), 0o755); err != nil {
		return nil, err
	}
	if t.run == "" {
		t.run = b.run
	}
	for ; t.made < s.services+s.later; t.made++ {
		if err := t.prepare(t.made); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *tree) root() string              { return filepath.Join(t.dir, "root") }
func (t *tree) serviceDir(i int) string   { return filepath.Join(t.dir, "all", t.serviceName(i)) }
func (t *tree) serviceName(i int) string  { return fmt.Sprintf("s%05d", i) }
func (t *tree) entry(i int) (path string) { return filepath.Join(t.root(), t.serviceName(i)) }

func (t *tree) prepare(i int) error {
	dirs := []string{t.serviceDir(i)}
	if t.logged {
		dirs = append(dirs, filepath.Join(t.serviceDir(i), "log"))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Link(t.run, filepath.Join(dir, "run")); err != nil {
			return err
		}
		for name, text := range t.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// link puts the next n services into the root.
func (t *tree) link(n int) error {
	for end := t.linked + n; t.linked < end; t.linked++ {
		if err := os.Symlink(t.serviceDir(t.linked), t.entry(t.linked)); err != nil {
			return err
		}
	}
	return nil
}

// start links n services and then starts the supervisor; it returns how long it took until all run.
func (t *tree) start(ctx context.Context, n int) (time.Duration, error) {
	if err := t.link(n); err != nil {
		return 0, err
	}
	var err error
	if t.outFile, err = os.Create(filepath.Join(t.dir, "output")); err != nil {
		return 0, err
	}
	// What was written so far is not the supervisor's to wait for.
	syscall.Sync()
	t.starts.forget()
	if err := t.launch(); err != nil {
		return 0, err
	}
	return t.awaitAll(ctx, n, t.began)
}

// launch starts the supervisor on the root as it is.
func (t *tree) launch() error {
	t.cmd = exec.Command(t.peer.program, t.peer.args(t.root(), t.made)...)
	t.cmd.Stdout, t.cmd.Stderr = t.outFile, t.outFile
	t.cmd.Dir = t.root()
	// Out of reach of the terminal's ^C: it ends in order, like everything else.
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	t.ended = make(chan struct{})
	t.began = time.Now()
	if err := t.cmd.Start(); err != nil {
		return err
	}
	cmd, ended := t.cmd, t.ended
	go func() { cmd.Wait(); close(ended) }()
	return nil
}

// add links n more services and returns how long it took until all of them run.
func (t *tree) add(ctx context.Context, n int) (time.Duration, error) {
	began := time.Now()
	if err := t.link(n); err != nil {
		return 0, err
	}
	if err := t.peer.lookNow(t.root()); err != nil {
		return 0, err
	}
	return t.awaitAll(ctx, n, began)
}

func (t *tree) awaitAll(ctx context.Context, n int, began time.Time) (time.Duration, error) {
	if t.logged {
		n *= 2
	}
	last, err := t.starts.count(ctx, t, n)
	return last.Sub(began), err
}

// supervision returns the processes that are the supervisor and what it started beside services.
func (t *tree) supervision() ([]process, error) {
	all, err := family(t.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	var of []process
	for _, p := range all {
		if !t.pids[p.pid] {
			of = append(of, p)
		}
	}
	if len(of) == 0 {
		return nil, errors.New("no supervisor is left")
	}
	return of, nil
}

// settle waits until the supervision has used no CPU time for two seconds, but not for ever: one that
// is never quiet is measured as it is.
func (t *tree) settle(ctx context.Context) error {
	const quiet, atMost = 2 * time.Second, 30 * time.Second
	for before, end := -1, time.Now().Add(atMost); time.Now().Before(end); {
		of, err := t.supervision()
		if err != nil {
			return err
		}
		used, _ := sum(of, func(p process) (int, error) { return int(p.ticks), nil })
		if used == before {
			return nil
		}
		before = used
		if err := pause(ctx, quiet); err != nil {
			return err
		}
	}
	return nil
}

// lastWords is the end of what the supervisor has written, for messages.
func (t *tree) lastWords() string {
	text, _ := os.ReadFile(t.outFile.Name())
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return "(nothing)"
	}
	return string(text[max(0, len(text)-500):])
}

// stop ends the supervisor, the politer way where it takes one. What is left of the tree then ends
// with everything else in bench.endAll.
func (t *tree) stop() {
	if t.cmd == nil || t.cmd.Process == nil {
		return
	}
	if t.peer.grace > 0 {
		t.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-t.ended:
			return
		case <-time.After(t.peer.grace):
			fmt.Fprintf(os.Stderr, "%s did not end within %v of TERM\n", t.peer.name, t.peer.grace)
		}
	}
	t.cmd.Process.Kill()
	<-t.ended
}

// remove lets go of the tree. Its processes have ended. Its files stay until everything was measured: some
// file systems are slow to make files for minutes after many were deleted, which would be measured, too.
func (t *tree) remove() error {
	if t.outFile != nil {
		return t.outFile.Close()
	}
	return nil
}

// pause sleeps unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
