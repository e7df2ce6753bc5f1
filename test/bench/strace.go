package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// attachTime is how long strace may take to attach to everything. The calls of that time don't count:
// being attached to interrupts those that wait.
const attachTime = 3 * time.Second

// callsPerSecond watches every thread of the supervision with strace.
func (t *tree) callsPerSecond(ctx context.Context, watch time.Duration) (float64, error) {
	of, err := t.supervision()
	if err != nil {
		return 0, err
	}
	output := filepath.Join(t.dir, "strace")
	args := []string{"-f", "-ttt", "-qq", "-e", "signal=none", "-o", output}
	for _, p := range of {
		args = append(args, "-p", strconv.Itoa(p.pid))
	}
	var said strings.Builder
	cmd := exec.Command("strace", args...)
	cmd.Stderr = &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pauseErr := pause(ctx, attachTime)
	from := time.Now()
	if pauseErr == nil {
		pauseErr = pause(ctx, watch)
	}
	to := time.Now()
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait() // it passes on the signal that ended it
	if pauseErr != nil {
		return 0, pauseErr
	}
	file, err := os.Open(output)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if said.Len() > 0 {
		return 0, fmt.Errorf("it said: %s", strings.TrimSpace(said.String()))
	}
	n, err := countCalls(file, from, to)
	return float64(n) / to.Sub(from).Seconds(), err
}

// countCalls counts the system calls that began within a time, in the output of strace -f -ttt.
func countCalls(output io.Reader, from, to time.Time) (n int, err error) {
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		// PID SECONDS.MICROSECONDS call(arguments…
		words := strings.Fields(lines.Text())
		if len(words) < 3 || strings.HasPrefix(words[2], "<...") || !strings.Contains(words[2], "(") {
			continue
		}
		seconds, err := strconv.ParseFloat(words[1], 64)
		if err != nil {
			return 0, fmt.Errorf("not a line of strace: %q", lines.Text())
		}
		at := time.UnixMicro(int64(seconds * 1e6))
		if at.After(from) && at.Before(to) {
			n++
		}
	}
	return n, lines.Err()
}
