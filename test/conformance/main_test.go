// Package conformance_test runs one table of scripted actions on Debian's daemontools, on runit and on
// upkeep, and compares what can be seen from outside: the status, the files, the signals that services
// receive, exit codes and messages. Where upkeep differs on purpose the table names the difference, and
// docs/compatibility.md gives the reason for it under the same name.
package conformance_test

import (
	"flag"
	"os"
	"syscall"
	"testing"
)

// TestMain is also the main function of the services: their ./run is a link to the test binary.
func TestMain(m *testing.M) {
	if os.Args[0] == "./run" {
		serve()
		return
	}
	flag.Parse()
	// What the test itself was given by its caller is not to be found in services.
	for fd := 3; fd < 1024; fd++ {
		syscall.CloseOnExec(fd)
	}
	// Most scenarios wait for a second to pass or for the next scan, so they don't need a core each.
	if !given("test.parallel") {
		flag.Set("test.parallel", "8")
	}
	os.Exit(m.Run())
}

func given(name string) (yes bool) {
	flag.Visit(func(f *flag.Flag) { yes = yes || f.Name == name })
	return yes
}
