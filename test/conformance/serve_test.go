package conformance_test

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What a service made of the test binary does is chosen by the file "behaviour" in its directory.
const (
	plain    = ""         // notes signals, ends on TERM; CONT is not noted, since a CONT after TERM may come too late
	stubborn = "stubborn" // notes signals, CONT too, and ends on none of them
	writer   = "writer"   // writes a batch of numbered lines on every ALRM, ends on TERM
	logger   = "logger"   // appends each line from stdin to the file "current", ends on TERM or at the end of input
)

// lifetime ends a service whose test could not.
const lifetime = 15 * time.Minute

var noted = map[os.Signal]string{
	syscall.SIGHUP: "HUP", syscall.SIGINT: "INT", syscall.SIGQUIT: "QUIT", syscall.SIGALRM: "ALRM",
	syscall.SIGTERM: "TERM", syscall.SIGUSR1: "USR1", syscall.SIGUSR2: "USR2", syscall.SIGWINCH: "WINCH",
	syscall.SIGCONT: "CONT",
}

// serve is the life of a service. It notes its start and every signal in the file "heard".
func serve() {
	time.AfterFunc(lifetime, func() { os.Exit(3) })
	fds := openDescriptors() // before anything here opens one
	b, _ := os.ReadFile("behaviour")
	behaviour := string(b)

	signals := make(chan os.Signal, 100)
	for s := range noted {
		signal.Notify(signals, s)
	}
	appendTo("birth", birth(fds))
	appendTo("heard", fmt.Sprintf("start %d\n", os.Getpid()))

	if behaviour == logger {
		go copyLines()
	}
	for s := range signals {
		name := noted[s]
		switch {
		case behaviour == writer && s == syscall.SIGALRM:
			writeBatch()
		case behaviour == stubborn:
			appendTo("heard", name+"\n")
		case s == syscall.SIGTERM:
			appendTo("heard", name+"\n")
			lastWords(signals)
			os.Exit(0)
		case s != syscall.SIGCONT:
			appendTo("heard", name+"\n")
		}
	}
}

// lastWords notes what was sent before TERM and is delivered after it: signals have no order.
func lastWords(signals <-chan os.Signal) {
	for {
		select {
		case s := <-signals:
			if s != syscall.SIGCONT && s != syscall.SIGTERM {
				appendTo("heard", noted[s]+"\n")
			}
		case <-time.After(50 * time.Millisecond):
			return
		}
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

// birth describes how the process came into the world.
func birth(fds []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "argv %q\n", os.Args)
	cwd, _ := os.Readlink("/proc/self/cwd")
	fmt.Fprintf(&b, "cwd %s\n", cwd)
	sid, _ := unix.Getsid(0)
	own := func(id int) string {
		if id == os.Getpid() {
			return "own"
		}
		return "inherited"
	}
	fmt.Fprintf(&b, "group %s\nsession %s\n", own(syscall.Getpgrp()), own(sid))
	for _, fd := range fds {
		fmt.Fprintf(&b, "descriptor %s\n", fd)
	}
	env := os.Environ()
	slices.Sort(env)
	for _, e := range env {
		fmt.Fprintf(&b, "environment %s\n", e)
	}
	return b.String()
}

// openDescriptors lists the descriptors that came over exec and what they are. Those of the Go runtime
// don't: they are marked to be closed.
func openDescriptors() []string {
	dir, err := unix.Open("/proc/self/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return []string{err.Error()}
	}
	defer unix.Close(dir)
	buf := make([]byte, 8192)
	n, _ := unix.ReadDirent(dir, buf)
	_, _, names := unix.ParseDirent(buf[:n], -1, nil)
	var fds []string
	for _, name := range names {
		fd, _ := strconv.Atoi(name)
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		target, _ := os.Readlink("/proc/self/fd/" + name)
		target = filepath.Base(target)
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
			target = "pipe" // with or without a name
		}
		fds = append(fds, name+" "+target)
	}
	slices.Sort(fds)
	return fds
}

const batch = 50

// writeBatch writes the next lines to stdout. The file "written" has how many there were.
func writeBatch() {
	b, _ := os.ReadFile("written")
	n, _ := strconv.Atoi(string(b))
	var lines bytes.Buffer
	for range batch {
		n++
		fmt.Fprintf(&lines, "line %d\n", n)
	}
	os.Stdout.Write(lines.Bytes())
	os.WriteFile("written.new", []byte(strconv.Itoa(n)), 0o644)
	os.Rename("written.new", "written")
}

// copyLines takes one byte at a time, so that a killed logger leaves the following lines in the pipe.
func copyLines() {
	var line []byte
	c := make([]byte, 1)
	for {
		if n, err := syscall.Read(0, c); err == syscall.EINTR {
			continue
		} else if n <= 0 {
			os.Exit(0)
		}
		line = append(line, c[0])
		if c[0] == '\n' {
			appendTo("current", string(line))
			line = line[:0]
		}
	}
}
