package main

import (
	"bufio"
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

const (
	orphanCost figure = "processor time per orphan"
	orphanWait figure = "last orphan dead until none is a zombie"
)

// orphanCount is how many orphans there are in a run.
const orphanCount = 10000

// A minimalInit does in a container what upkeep does for a command there: it runs the command and reaps.
type minimalInit struct {
	name    string
	command []string
}

// plainInit is what upkeep is compared with.
const plainInit = "tini"

var minimalInits = []minimalInit{
	{plainInit, []string{"tini", "-s", "--"}}, // -s: as a subreaper, where it is not PID 1
	{"catatonit", []string{"catatonit", "--"}},
}

// orphansSource makes orphans, one after another: each has a parent that ends at once. It says when it is
// ready and when it is done, and waits for a byte after either.
const orphansSource = `#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char go;

	write(1, "ready\n", 6);
	read(0, &go, 1);
	for (int n = atoi(argv[1]); n > 0; n--) {
		pid_t parent = fork();
		if (parent == 0) {
			fork();
			_exit(0);
		}
		waitpid(parent, 0, 0);
	}
	write(1, "done\n", 5);
	read(0, &go, 1);
	return 0;
}
`

// measureOrphans takes what it costs to reap orphans. The plain inits have their turn beside upkeep.
func (b *bench) measureOrphans(ctx context.Context, p peer, _ int) error {
	if p.name != ours {
		return nil
	}
	program, err := b.program("orphans", orphansSource)
	if program == "" || err != nil {
		return err
	}
	root := filepath.Join(b.dir, "empty")
	if err := os.Mkdir(root, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	all := []minimalInit{{ours, []string{p.program, root, "--"}}}
	for _, i := range append(all, minimalInits...) {
		if _, err := exec.LookPath(i.command[0]); err != nil {
			continue
		}
		if err := b.reapOrphans(ctx, i, program); err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}
	}
	return nil
}

// reapOrphans runs the program that makes orphans below i.
func (b *bench) reapOrphans(ctx context.Context, i minimalInit, program string) (err error) {
	command := append(i.command[1:len(i.command):len(i.command)], program, fmt.Sprint(orphanCount))
	cmd := exec.CommandContext(ctx, i.command[0], command...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		in.Close()
		if e := cmd.Wait(); err == nil {
			err = e
		}
	}()
	said := bufio.NewReader(out)
	next := func(word string) error {
		line, err := said.ReadString('\n')
		if err == nil && strings.TrimSpace(line) != word {
			err = fmt.Errorf("unexpected line %q", line)
		}
		return err
	}
	if err := next("ready"); err != nil {
		return err
	}
	if err := pause(ctx, breath); err != nil { // what starting takes is none of it
		return err
	}
	before, err := processorTime(cmd.Process.Pid)
	if err != nil {
		return err
	}
	if _, err := in.Write([]byte{'\n'}); err != nil {
		return err
	}
	if err := next("done"); err != nil {
		return err
	}
	done := time.Now()
	for left := 1; left > 0; {
		if left, err = zombies(cmd.Process.Pid); err != nil {
			return err
		}
		if time.Since(done) > patience {
			return fmt.Errorf("%d zombies are left after %v", left, patience)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	wait := time.Since(done)
	after, err := processorTime(cmd.Process.Pid)
	if err != nil {
		return err
	}
	b.record(orphanWait, peer{name: i.name}, wait.Seconds())
	b.record(orphanCost, peer{name: i.name}, (after-before).Seconds()/orphanCount)
	return nil
}

// processorTime returns what all threads of a process, those that have ended too, have used, to the nanosecond.
func processorTime(pid int) (time.Duration, error) {
	// The kernel makes this number from the pid; it is what clock_getcpuclockid returns.
	const scheduled = 2
	var t unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|scheduled), &t)
	return time.Duration(t.Nano()), err
}

// zombies counts the dead children of a process.
func zombies(parent int) (n int, err error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it is gone
		}
		if p, err := parseStat(string(text)); err == nil && p.parent == parent && p.state == 'Z' {
			n++
		}
	}
	return n, err
}

// timesInit gives the cost of an orphan in units of the plain init's.
func (b *bench) timesInit(peer string) (float64, bool) {
	cost, ok1 := median(b.samples[orphanCost][peer])
	plain, ok2 := median(b.samples[orphanCost][plainInit])
	return cost / plain, ok1 && ok2
}
