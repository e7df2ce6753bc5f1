// Command bench measures upkeep side by side with the supervisors it replaces or competes with, on the
// same work, in one run, taking turns, and prints the medians as a markdown table with the ratio to
// daemontools and the budget beside each. What is not installed is left out.
//
//	make && go run ./test/bench -write docs/performance.md
//
// Nothing of it needs root. Everything it starts has ended when it ends, also after ^C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// errBudget tells that -check found upkeep over a budget.
var errBudget = errors.New("a budget is exceeded")

// options are what the command line says.
type options struct {
	services int
	runs     int
	idle     time.Duration
	peers    []string
	only     []string
	upkeep   string
	service  string
	dir      string
	write    string
	check    bool
}

func main() {
	var o options
	var peers, only string
	flag.IntVar(&o.services, "n", 900, "`services` in a full tree")
	flag.IntVar(&o.runs, "runs", 5, "how often each figure is measured; the median counts")
	flag.DurationVar(&o.idle, "idle", time.Minute, "how `long` idle trees are watched (upkeep rescans once a minute)")
	flag.StringVar(&peers, "peers", "", "comma separated `list` of supervisors (default all: "+strings.Join(peerNames(), ",")+")")
	flag.StringVar(&only, "only", "", "comma separated `list` of figures (default all: "+strings.Join(groupNames(), ",")+")")
	flag.StringVar(&o.upkeep, "upkeep", "bin/upkeep", "`path` of upkeep")
	flag.StringVar(&o.service, "service", "tiny", "what the services run: tiny, a static C program, or sh, a script that execs sleep")
	flag.StringVar(&o.dir, "dir", "/var/tmp", "`directory` for the trees, on a disk")
	flag.StringVar(&o.write, "write", "", "replace the block between the markers in this `file` by the table")
	flag.BoolVar(&o.check, "check", false, "exit 1 when upkeep exceeds a budget")
	flag.Parse()
	o.peers, o.only = list(peers), list(only)

	if err := o.validate(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// validate refuses what would only fail after minutes of measuring.
func (o options) validate() error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case o.services < 3 || o.runs < 1 || o.idle <= 0:
		return errors.New("-n must be 3 or more, -runs 1 or more, -idle positive")
	case o.service != "tiny" && o.service != "sh":
		return fmt.Errorf("-service is tiny or sh, not %q", o.service)
	}
	for _, p := range o.peers {
		if !slices.Contains(peerNames(), p) {
			return fmt.Errorf("-peers knows %s, not %q", strings.Join(peerNames(), ", "), p)
		}
	}
	for _, g := range o.only {
		if !slices.Contains(groupNames(), g) {
			return fmt.Errorf("-only knows %s, not %q", strings.Join(groupNames(), ", "), g)
		}
	}
	if o.write != "" {
		return checkMarkers(o.write)
	}
	return nil
}

func run(ctx context.Context, o options) (err error) {
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()

	measured := b.measure(ctx)
	if err := ctx.Err(); err != nil {
		return errors.New("interrupted")
	}
	block, exceeded := b.report()
	fmt.Print(block)
	// A table with gaps is printed, but does not replace a whole one.
	if o.write != "" && measured == nil {
		if err := writeBlock(o.write, block); err != nil {
			return err
		}
	}
	if o.check && exceeded {
		return errors.Join(measured, errBudget)
	}
	return measured
}

// list splits a comma separated flag; an empty one is no list.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
