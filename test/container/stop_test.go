package container_test

import (
	"testing"
	"time"
)

// engineTimeout is what an engine waits between TERM and KILL.
const engineTimeout = 10 * time.Second

// TestStop: docker stop tells every service to end, loggers last, and the end comes at once.
func TestStop(t *testing.T) {
	t.Parallel()
	e := needEngine(t)
	c := e.run(t, nil, servicesImage)
	for _, line := range []string{"web up", "mail up", "log: first words"} {
		says(t, c, line, 1)
	}
	c.stop(soon, 0)
	for _, line := range []string{"web TERM", "mail TERM", "log: last words"} {
		if count(c, line) != 1 {
			t.Errorf("not once: %q", line)
		}
	}
	if list := complaints(c); len(list) > 0 {
		t.Errorf("upkeep says %q", list)
	}
}

// TestStopDeadline: what ignores TERM is killed before the engine's time is over, which would end upkeep
// with KILL too.
func TestStopDeadline(t *testing.T) {
	t.Parallel()
	e := needEngine(t)
	c := e.run(t, e.services(t, map[string]string{"deaf/run": "#!/bin/sh\nexec guest deaf\n", "web/run": serve}), servicesImage)
	says(t, c, "deaf up", 1)
	says(t, c, "web up", 1)
	begin := time.Now()
	c.stop(3*engineTimeout, 0) // a busy machine takes longer than engineTimeout, which the default is less than
	if took := time.Since(begin); took < engineTimeout/2 {
		t.Errorf("it had %v to end", took)
	}
	says(t, c, "web TERM", 1)
}
