package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// A peer is a supervisor that is measured.
type peer struct {
	name string
	// pkg is the Debian package that its version is asked of; upkeep is this checkout's.
	pkg     string
	program string
	// args are its arguments for a root that will hold at most max services.
	args func(root string, max int) []string
	// rescan is the command that makes it look at its root now, for one that never does so by itself.
	rescan func(root string) []string
	// poll is how often it looks at its root, for one that only polls.
	poll time.Duration
	// limit is how many services it can have, 0 for as many as the machine carries.
	limit int
	// grace is how long it may take to end on TERM; without, it is killed.
	grace time.Duration
}

// Names of the peers that the report treats specially.
const (
	ours     = "upkeep"
	baseline = "daemontools"
)

// peers are all known ones, in the order of the table.
var peers = []peer{
	{
		name: ours,
		args: func(root string, _ int) []string { return []string{root} },
		// It removes its cgroups on the way.
		grace: 20 * time.Second,
	}, {
		name: baseline, pkg: "daemontools", program: "svscan",
		args: func(root string, _ int) []string { return []string{root} },
		poll: 5 * time.Second, limit: 1000,
	}, {
		name: "runit", pkg: "runit", program: "runsvdir",
		args: func(root string, _ int) []string { return []string{"-P", root} },
		poll: 5 * time.Second, limit: 1000,
	}, {
		name: "s6", pkg: "s6", program: "s6-svscan",
		args:   func(root string, max int) []string { return []string{"-c", strconv.Itoa(max + 10), root} },
		rescan: func(root string) []string { return []string{"s6-svscanctl", "-a", root} },
	},
}

func peerNames() []string {
	var names []string
	for _, p := range peers {
		names = append(names, p.name)
	}
	return names
}

// installed returns the wanted peers (none named: all) that this machine has, with the absolute path
// of each one's program, and a note for each that it lacks.
func installed(wanted []string, upkeep string) (have []peer, notes []string) {
	for _, p := range peers {
		if len(wanted) > 0 && !slices.Contains(wanted, p.name) {
			continue
		}
		program := p.program
		if p.name == ours {
			program = upkeep
		}
		path, err := exec.LookPath(program)
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s is left out: no %s here.", p.name, program))
			continue
		}
		if p.program, err = filepath.Abs(path); err != nil {
			notes = append(notes, fmt.Sprintf("%s is left out: %v.", p.name, err))
			continue
		}
		have = append(have, p)
	}
	return have, notes
}

// lookNow makes a supervisor that never looks at its root by itself do so.
func (p peer) lookNow(root string) error {
	if p.rescan == nil {
		return nil
	}
	words := p.rescan(root)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%v: %w", cmd.Args, err)
	}
	return nil
}
