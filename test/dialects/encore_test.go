package dialects_test

import (
	"os"
	"testing"

	"upkeep/test/harness"
)

// TestEncoreOneshot: where there is a start and no run, the service is up without a process until it is told to be
// down.
func TestEncoreOneshot(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	v := s.service("net", "", "start", "#!/bin/sh\necho start >>ran\n", "stop", "#!/bin/sh\necho stop >>ran\n")
	if err := os.Remove(v.path("run")); err != nil {
		t.Fatal(err)
	}
	after := s.service("web", server(t, ""), "after", "net\n")
	s.open()
	after.await("heard", "start\n")
	v.awaitLong("started")
	v.await("ran", "start\n")
	harness.Run(t, harness.Bin(t, "upkeep"), "wait", "-u", v.dir)
	v.tell("hk")
	v.tell("d")
	v.await("ran", "start\nstop\n")
	harness.Run(t, harness.Bin(t, "upkeep"), "wait", "-D", v.dir)
	v.tell("u")
	v.await("ran", "start\nstop\nstart\n")
	v.awaitLong("started")
}
