package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const treeKill figure = "kill of a tree"

// crowdSize is how many processes the tree has beside the service itself.
const crowdSize = 1000

// crowdSource is a service that starts a crowd, each in a session of its own and deaf to TERM, and then ends
// on TERM itself. All of them hold the FIFO that is its argument; it tells its pid to the other one.
const crowdSource = `#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 2 || open(argv[1], O_WRONLY) < 0)
		return 1;
	for (int n = 0; n < CROWD; n++) {
		switch (fork()) {
		case -1:
			return 1;
		case 0:
			setsid();
			signal(SIGTERM, SIG_IGN);
			for (;;) pause();
		}
	}
	dprintf(open(FIFO, O_WRONLY), "%d\n", getpid());
	for (;;) pause();
}
`

// measureKill takes the time from the order to stop a service until nothing of a crowd is left that it has
// started and that has to be killed. The peers signal one process; what it has started they do not know.
func (b *bench) measureKill(ctx context.Context, p peer, _ int) error {
	if p.name != ours || os.Geteuid() != 0 {
		return nil
	}
	program, err := b.program("crowd", crowdSource, fmt.Sprintf("-DCROWD=%d", crowdSize))
	if program == "" || err != nil {
		return err
	}
	held := filepath.Join(b.dir, "held")
	os.Remove(held)
	if err := unix.Mkfifo(held, 0o600); err != nil {
		return err
	}
	end, err := os.OpenFile(held, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer end.Close()
	run := filepath.Join(b.dir, "crowd-run")
	if err := os.WriteFile(run, fmt.Appendf(nil, "#!%s %s\n", program, held), 0o755); err != nil {
		return err
	}
	s := shape{services: 1, run: run, files: map[string]string{"timeout-kill": "1\n"}}
	return b.with(ctx, p, s, func(t *tree, _ time.Duration) error {
		if err := t.settle(ctx); err != nil {
			return err
		}
		end.SetReadDeadline(time.Now().Add(patience))
		began := time.Now()
		if out, err := exec.CommandContext(ctx, p.program, "svc", "-d", t.serviceDir(0)).CombinedOutput(); err != nil {
			return fmt.Errorf("svc -d: %w: %s", err, out)
		}
		if n, err := end.Read(make([]byte, 1)); n > 0 || err.Error() != "EOF" {
			return fmt.Errorf("the crowd is still there: %v", err)
		}
		b.record(treeKill, p, time.Since(began).Seconds())
		return nil
	})
}
