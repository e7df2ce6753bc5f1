package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// errNoController is why a controller cannot be had where the kernel, or whoever is above us, has none.
var errNoController = errors.New("not available in the unified hierarchy here")

const subtree = "cgroup.subtree_control"

// enable gives the children of BASE a controller. It is tried once.
func (t *Tree) enable(controller string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err, known := t.controllers[controller]
	if !known {
		err = t.tryEnable(controller)
		t.controllers[controller] = err
	}
	return err
}

func (t *Tree) tryEnable(controller string) error {
	if !listed(filepath.Join(t.place, "cgroup.controllers"), controller) {
		return errNoController
	}
	if t.base != t.place {
		if err := turnOn(t.place, controller); err != nil {
			return err
		}
	}
	err := turnOn(t.base, controller)
	if t.base == t.place {
		// Somebody may have come since: docker exec starts processes in the top group.
		const tries = 5
		for try := 1; errors.Is(err, unix.EBUSY) && try < tries; try++ {
			t.clear(filepath.Join(t.base, supervisorName))
			err = turnOn(t.base, controller)
		}
	}
	return err
}

// turnOn gives the children of the group at dir a controller, unless they have it: what we need not write
// to need not be ours.
func turnOn(dir, controller string) error {
	path := filepath.Join(dir, subtree)
	if listed(path, controller) {
		return nil
	}
	return writeFile(path, "+"+controller)
}

func listed(path, controller string) bool {
	text, err := readFile(path)
	return err == nil && slices.Contains(strings.Fields(string(text)), controller)
}

// disable takes the controllers from the children of BASE, so that a process can be in it.
func (t *Tree) disable() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for controller, err := range t.controllers {
		if err == nil {
			writeFile(filepath.Join(t.base, subtree), "-"+controller)
		}
	}
}

// Missing says of each controller that was needed so far and cannot be had, why. That is only worth a
// message when a service asks for a limit, and Limits says it then.
func (t *Tree) Missing() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []string
	for _, controller := range slices.Sorted(maps.Keys(t.controllers)) {
		if err := t.controllers[controller]; err != nil {
			list = append(list, fmt.Sprintf("the %s controller: %v", controller, err))
		}
	}
	return list
}
