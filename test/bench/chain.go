package main

import (
	"context"
	"os"
	"os/exec"
	"time"
)

const chainStart figure = "start of a program by a chain loader"

// chainSamples is how many starts there are in a run.
const chainSamples = 200

// chainCommand is how a peer runs a program as the account nobody.
func (p peer) chainCommand(program string) []string {
	switch p.name {
	case ours:
		return []string{p.program, "setuidgid", "nobody", program}
	case baseline:
		return []string{"setuidgid", "nobody", program}
	case "runit":
		return []string{"chpst", "-u", "nobody", program}
	default:
		return []string{"s6-setuidgid", "nobody", program}
	}
}

// measureChain takes the time from the start of a chain loader to the end of true. Only root can.
func (b *bench) measureChain(ctx context.Context, p peer, _ int) error {
	if os.Geteuid() != 0 {
		return nil
	}
	program, err := exec.LookPath("true")
	if err != nil {
		return err
	}
	command := p.chainCommand(program)
	for range chainSamples {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		began := time.Now()
		if err := cmd.Run(); err != nil {
			return err
		}
		b.record(chainStart, p, time.Since(began).Seconds())
	}
	return nil
}
