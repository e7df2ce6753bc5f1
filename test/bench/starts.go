package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds the wait for any one thing; it only ends what has failed already.
const patience = time.Minute

// A start is the news that a service's run has begun.
type start struct {
	pid int
	at  time.Time
}

// starts reads the FIFO into which every service writes its pid when it starts.
type starts struct {
	path string
	file *os.File
	news chan start
}

// listen makes the FIFO and reads it until close.
func listen(path string) (*starts, error) {
	if err := syscall.Mkfifo(path, 0o622); err != nil {
		return nil, fmt.Errorf("mkfifo %s: %w", path, err)
	}
	// Open for both, so that a service's open never waits and no end of file is ever seen.
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	s := &starts{path: path, file: file, news: make(chan start, 1<<16)}
	go s.read()
	return s, nil
}

func (s *starts) read() {
	defer close(s.news)
	lines := bufio.NewScanner(s.file)
	for lines.Scan() {
		now := time.Now()
		if pid, err := strconv.Atoi(strings.TrimSpace(lines.Text())); err == nil {
			s.news <- start{pid, now}
		}
	}
}

func (s *starts) close() error { return s.file.Close() }

// forget drops what services said that have ended since.
func (s *starts) forget() {
	for {
		select {
		case <-s.news:
		default:
			return
		}
	}
}

// next waits for one start. It fails when ctx or the supervisor ends first, or patience does.
func (s *starts) next(ctx context.Context, t *tree) (start, error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case st, ok := <-s.news:
		if !ok {
			return start{}, os.ErrClosed
		}
		t.pids[st.pid] = true
		return st, nil
	case <-t.ended:
		return start{}, fmt.Errorf("%s ended by itself: %v; it said: %s", t.peer.name, t.cmd.ProcessState, t.lastWords())
	case <-timeout.C:
		return start{}, fmt.Errorf("%s: no service started for %v; it said: %s", t.peer.name, patience, t.lastWords())
	case <-ctx.Done():
		return start{}, ctx.Err()
	}
}

// count waits for n starts and returns the time of the last.
func (s *starts) count(ctx context.Context, t *tree, n int) (last time.Time, err error) {
	for range n {
		st, err := s.next(ctx, t)
		if err != nil {
			return time.Time{}, err
		}
		last = st.at
	}
	return last, nil
}
