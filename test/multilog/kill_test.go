package multilog_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/logpipe"
	"upkeep/test/harness"
)

// pauseVariable makes the test program a multilog with another pause than that of five seconds.
const pauseVariable = "UPKEEP_TEST_PAUSE"

func TestMain(m *testing.M) {
	if pause, err := time.ParseDuration(os.Getenv(pauseVariable)); err == nil {
		os.Exit(impatient(pause, os.Args[1:]))
	}
	os.Exit(m.Run())
}

func impatient(pause time.Duration, script []string) int {
	requests, err := logpipe.NewRequests(nil)
	if err != nil {
		return 111
	}
	alarms := make(chan os.Signal, 1)
	signal.Notify(alarms, syscall.SIGALRM)
	go func() {
		for range alarms {
			requests.Ask(logpipe.Rotate)
		}
	}()
	log, err := logpipe.OpenLog(logpipe.ParseScript(script), logpipe.Environment{
		Start: unix.AT_FDCWD, Pause: pause,
		Warn: func(text string, err error) { fmt.Fprintln(os.Stderr, text, err) },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 111
	}
	log.Copy(0, requests)
	log.Close()
	return 0
}

// A record is what is on file of numbered lines, over the lives of many loggers.
type record struct {
	t     *testing.T
	dir   string
	last  int // the last number seen
	gaps  int // how often some were missing
	files int
}

var numbered = regexp.MustCompile(`^(\d{8}) x{60}$`)

// held is the most that a logger holds that is not on file: one read, in lines.
const held = 112<<10/70 + 2

func line(n int) string { return fmt.Sprintf("%08d %s\n", n, strings.Repeat("x", 60)) }

// collect takes the old files away, while no logger runs, and reads what is in them. A file with two names
// is still current or previous, too.
func (r *record) collect(final bool) {
	r.t.Helper()
	old, other := files(r.t, r.dir)
	for _, name := range other {
		switch name {
		case "lock", "current", "previous", "state":
		default:
			r.t.Errorf("there is a file %s", name)
		}
	}
	for _, name := range old {
		path := filepath.Join(r.dir, name)
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			r.t.Fatal(err)
		}
		if st.Nlink > 1 {
			continue
		}
		r.take(name, contents(r.t, path))
		os.Remove(path)
	}
	if final {
		r.take("current", contents(r.t, r.dir, "current"))
	}
}

func (r *record) take(name, text string) {
	r.files++
	for text != "" {
		first, rest, ended := strings.Cut(text, "\n")
		m := numbered.FindStringSubmatch(first)
		switch {
		case m != nil && ended:
			n, _ := strconv.Atoi(m[1])
			if n <= r.last {
				r.t.Errorf("%s holds line %d after line %d", name, n, r.last)
			}
			if missing := n - r.last - 1; missing > held {
				r.t.Errorf("%d lines before line %d in %s are lost, more than a logger holds", missing, n, name)
			} else if missing > 0 {
				r.gaps++
			}
			r.last = n
		case !ended && strings.HasSuffix(name, ".u"):
			// Cut off in the middle of a write.
		default:
			r.t.Errorf("%s holds %q", name, first)
		}
		text = rest
	}
}

// TestKill kills loggers at any moment: while they start, write and rotate.
func TestKill(t *testing.T) {
	killAtRandom(t, t.TempDir(), func(int) {})
}

// TestKillOnAFullDisk does so while the disk is full from time to time.
func TestKillOnAFullDisk(t *testing.T) {
	harness.NeedRoot(t)
	mnt := smallDisk(t)
	killAtRandom(t, mnt, func(round int) {
		if round%3 == 0 {
			fill(t, mnt)
		} else {
			os.Remove(mnt + "/junk")
		}
	})
}

func killAtRandom(t *testing.T, root string, before func(round int)) {
	const rounds = 100
	random := rand.New(rand.NewPCG(1, 2))
	script := []string{"s4096", "n100000", "./d"}
	l := &logger{t: t}
	var err error
	if l.read, l.write, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.read.Close(); l.write.Close() })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start := func() *exec.Cmd {
		cmd := exec.Command(self, script...)
		cmd.Dir, cmd.Stdin = root, l.read
		cmd.Env = append(os.Environ(), pauseVariable+"=1ms")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	r := &record{t: t, dir: root + "/d"}
	next, dirty := 1, 0
	for round := range rounds {
		before(round)
		cmd := start()
		for range 100 + random.IntN(300) { // less than a pipe holds
			if l.unread() > 1<<15 {
				break
			}
			l.say(line(next))
			next++
		}
		if round%3 == 2 {
			// All of it gets on file. What happens then must not cost a line.
			l.Process = &harness.Process{Cmd: cmd}
			l.settled()
			cmd.Process.Signal(syscall.SIGALRM)
			time.Sleep(time.Duration(random.IntN(200)) * time.Microsecond)
		} else {
			dirty++
			time.Sleep(time.Duration(random.IntN(8000)) * time.Microsecond)
		}
		cmd.Process.Kill()
		cmd.Wait()
		if _, err := os.Stat(r.dir); err == nil {
			r.collect(false)
		}
	}
	os.Remove(root + "/junk")
	l.say(line(next)) // which no logger has seen
	next++
	cmd := start()
	l.write.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the last logger: %v", err)
	}
	r.collect(true)
	if r.last != next-1 {
		t.Errorf("the last line on file is %d of %d", r.last, next-1)
	}
	if r.gaps > dirty {
		t.Errorf("%d times lines are missing, but only %d loggers were killed that had read some", r.gaps, dirty)
	}
	t.Logf("%d lines in %d files; %d of %d loggers took lines along that they had read", next-1, r.files, r.gaps, dirty)
}

// smallDisk mounts a file system of 1 MB.
func smallDisk(t *testing.T) string {
	t.Helper()
	mnt := t.TempDir()
	if err := unix.Mount("tmpfs", mnt, "tmpfs", 0, "size=1m"); err != nil {
		harness.Skip(t, "cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(mnt, unix.MNT_DETACH) })
	return mnt
}

// fill leaves no room on a disk.
func fill(t *testing.T, mnt string) {
	t.Helper()
	f, err := os.OpenFile(mnt+"/junk", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return
		}
	}
}

// TestFullDiskPauses: it says what the original says, and loses nothing.
func TestFullDiskPauses(t *testing.T) {
	harness.NeedRoot(t)
	for name, program := range programs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mnt := smallDisk(t)
			l := startLogger(t, mnt, program, "s4096", "./d")
			l.say("one\n")
			l.settled()
			fill(t, mnt)
			want := "one\n" + strings.Repeat("x", 3000) + "\n" + strings.Repeat("y", 3000) + "\n" + strings.Repeat("z", 3000) + "\n"
			l.say(want[4:])
			harness.Eventually(t, "it warns", func() bool { return l.Output() != "" })
			os.Remove(mnt + "/junk")
			l.write.Close()
			if code := l.Wait(); code != 0 || all(t, mnt+"/d") != want {
				t.Errorf("exit code %d, %q", code, all(t, mnt+"/d"))
			}
			if got, want := l.Output(), "multilog: warning: unable to write to ./d/current, pausing: out of disk space\n"; got != want {
				t.Errorf("it said %q, want %q", got, want)
			}
		})
	}
}

// TestFileSizeLimit: it is a full disk, too, though the original dies of it.
func TestFileSizeLimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := startLogger(t, dir, "/bin/sh", "-c", `ulimit -Sf 8; exec "$0" ./d`, harness.Bin(t, "multilog"))
	text := strings.Repeat("y\n", 3000)
	l.say(text)
	harness.Eventually(t, "it warns", func() bool { return l.Output() != "" })
	if got, want := l.Output(), "multilog: warning: unable to write to ./d/current, pausing: file too big\n"; got != want {
		t.Errorf("it said %q, want %q", got, want)
	}
	var limit unix.Rlimit
	err := unix.Prlimit(l.Cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &limit)
	limit.Cur = limit.Max
	if err == nil {
		err = unix.Prlimit(l.Cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.write.Close()
	if code := l.Wait(); code != 0 || all(t, dir+"/d") != text {
		t.Errorf("exit code %d, %q", code, all(t, dir+"/d"))
	}
}

// TestFailingProcessor: it is run again until it succeeds.
func TestFailingProcessor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := startLogger(t, dir, harness.Bin(t, "multilog"), "!test -e ../good || exit 1; cat", "./d")
	l.say("one\n")
	l.settled()
	l.signal(syscall.SIGALRM)
	const said = "multilog: warning: processor failed in ./d, pausing\n"
	harness.Eventually(t, "it warns", func() bool { return l.Output() == said })
	harness.WriteFile(t, dir+"/good", "", 0o644)
	l.say("two\n")
	l.write.Close()
	if code := l.Wait(); code != 0 || all(t, dir+"/d") != "one\ntwo\n" || l.Output() != said {
		t.Errorf("exit code %d, %q, it said %q", code, all(t, dir+"/d"), l.Output())
	}
}
