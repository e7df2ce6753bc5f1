// Package dialects_test runs service directories of the whole family as they were written: what their
// files ask for is observed from outside, by what the scripts write, by the signals that services hear
// and by the clients that users have. Where Debian has the supervisor that a directory was written for,
// the same scenario runs there and has to be seen there too.
package dialects_test

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is also the main function of the services that note their signals.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		serve(os.Args[2:])
		return
	}
	flag.Parse()
	// The services are this program, and with the race detector each would wait for a second at its end.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	// How long sv waits where no -w says so, which is to end only a test that has failed already.
	os.Setenv("SVWAIT", "30")
	// Tests mostly wait for a second to pass, so they don't need a core each.
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		flag.Set("test.parallel", "12")
	}
	os.Exit(m.Run())
}

// lifetime ends a service whose test could not.
const lifetime = 15 * time.Minute

var noted = map[os.Signal]string{
	syscall.SIGHUP: "HUP", syscall.SIGINT: "INT", syscall.SIGQUIT: "QUIT", syscall.SIGALRM: "ALRM",
	syscall.SIGTERM: "TERM", syscall.SIGUSR1: "USR1", syscall.SIGUSR2: "USR2", syscall.SIGWINCH: "WINCH",
}

// serve notes its start and every signal but CONT in the file "heard", a line each. Its arguments are
// key=value: ends is the signal that ends it ("none" for none, TERM without), notes a file that it writes
// to when that comes, as name, and lines how many it prints between.
func serve(args []string) {
	time.AfterFunc(lifetime, func() { os.Exit(3) })
	set := map[string]string{"ends": "TERM", "heard": "heard"}
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		set[key] = value
	}
	signals := make(chan os.Signal, 100)
	for s := range noted {
		signal.Notify(signals, s)
	}
	appendTo(set["heard"], "start\n")
	for s := range signals {
		appendTo(set["heard"], noted[s]+"\n")
		if noted[s] != set["ends"] {
			continue
		}
		if file := set["notes"]; file != "" {
			appendTo(file, set["name"]+" is asked\n")
			time.Sleep(50 * time.Millisecond) // so that one who does not wait for the end is found out
			n, _ := strconv.Atoi(set["lines"])
			for i := range n {
				fmt.Println(i + 1)
			}
			appendTo(file, set["name"]+" ends\n")
		}
		os.Exit(0)
	}
}

func appendTo(name, text string) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err == nil {
		_, err = f.WriteString(text)
		f.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(2)
	}
}

// server is a run script of a service that notes its signals, with lines of shell before it.
func server(t testing.TB, args string, before ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return "#!/bin/sh\n" + strings.Join(before, "\n") + "\nexec '" + self + "' serve " + args + "\n"
}
