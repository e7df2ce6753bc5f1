package conformance_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"upkeep/test/harness"
)

// files lists what is in supervise/, with modes and sizes.
func (s *service) files() string {
	var lines []string
	top := filepath.Join(s.dir, "supervise")
	filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		rel, _ := filepath.Rel(top, path)
		line := fmt.Sprintf("%s %v", rel, info.Mode())
		if info.Mode().IsRegular() && rel != "resume" && rel != "pid" && rel != "stat" {
			line += fmt.Sprintf(" %d", info.Size())
		}
		lines = append(lines, line)
		return nil
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

const (
	originalFiles = ". drwx------\ncontrol prw-------\nlock -rw------- 0\nok prw-------\nstatus -rw-r--r-- "
	runitFiles    = ". drwx------\ncontrol prw-------\nlock -rw------- 0\nok prw-------\npid -rw-r--r--\nstat -rw-r--r--\nstatus -rw-r--r-- "
	ourFiles      = ". drwx------\ncontrol prw-------\nlock -rw------- 0\nok prw-------\nresume -rw-r--r--\nstatus -rw-r--r-- "
	ourLogFiles   = ". drwx------\ncontrol prw-------\nlock -rw------- 0\nlogpipe prw-------\nok prw-------\nresume -rw-r--r--\nstatus -rw-r--r-- "
)

// TestFiles looks at supervise/ while a service is up and after it is gone.
func TestFiles(t *testing.T) {
	alone := expectation{originalFiles + "18", but{
		"runit":  {runitFiles + "20", diff("status-size")},
		"upkeep": {ourFiles + "20", diff("more-files")},
	}}
	withLog := expectation{originalFiles + "18", but{
		"runit":  {runitFiles + "20", diff("status-size")},
		"upkeep": {ourLogFiles + "20", diff("more-files")},
	}}
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("web", plain)
		l, log := h.logged("logged", plain)
		h.open()
		for _, s := range []*service{s, l, log} {
			s.await("up/u 1")
		}
		s.awaitAny(s.files, alone.on(p))
		l.awaitAny(l.files, withLog.on(p))
		log.awaitAny(log.files, alone.on(p))

		h.unlist(s)
		if p.like != "runit" {
			s.svc("-dx")
		}
		s.await("gone 1 TERM")
		// Nothing is removed.
		s.awaitAny(s.files, alone.on(p))
	})
}

// TestStatusBytes compares the bytes after the pid in several states. Byte 18 and 19 are runit's.
func TestStatusBytes(t *testing.T) {
	steps := []struct{ send, state, original, runit, ours string }{
		{"", "up/u 1", "00 75", "00 75 00 01", "00 75 00 01"},
		{"p", "up/u paused 1", "01 75", "01 75 00 01", "01 75 00 01"},
		{"c", "up/u 1 CONT", "00 75", "00 75 00 01", "00 75 00 01"},
		{"d", "up/d 1 CONT CONT TERM", "00 64", "00 64 01 01", "00 64 01 01"},
		{"u", "up/u 1 CONT CONT TERM", "00 75", "00 75 01 01", "00 75 01 01"},
		{"k", "up/u 2 CONT CONT TERM", "00 75", "00 75 00 01", "00 75 00 01"},
		{"dk", "down/d 2", "00 64", "00 64 00 00", "00 64 00 00"},
	}
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("web", stubborn)
		h.open()
		for _, step := range steps {
			if step.send != "" {
				s.send(step.send)
			}
			s.awaitAny(func() string { // "dk" may come before the signal is noted
				if seen := s.seen(); !strings.HasPrefix(seen, step.state) {
					return seen
				}
				return step.state
			}, step.state)
			want := map[string]string{"daemontools": step.original, "runit": step.runit, "upkeep": step.ours}[p.like]
			s.awaitAny(func() string { return fmt.Sprintf("% x", s.status()[16:]) }, want)
		}
	})
}

// TestStatusIsNeverHalfWritten reads the status all the time while it changes.
func TestStatusIsNeverHalfWritten(t *testing.T) {
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("web", plain)
		h.open()
		s.await("up/u 1")
		size := len(s.status())
		stop, done := make(chan struct{}), make(chan string)
		go func() {
			for {
				select {
				case <-stop:
					done <- ""
					return
				default:
				}
				if b, err := os.ReadFile(filepath.Join(s.dir, "supervise/status")); err != nil || len(b) != size {
					done <- fmt.Sprintf("status of %d bytes, %v", len(b), err)
					return
				}
			}
		}()
		for range 50 {
			s.send("p")
			s.await("up/u paused 1")
			s.send("c")
			s.await("up/u 1")
		}
		close(stop)
		if wrong := <-done; wrong != "" {
			t.Error(wrong)
		}
	})
}

// TestLabelChangesWithThePid: the time in the status is that of the last start or end, whatever else happens.
func TestLabelChangesWithThePid(t *testing.T) {
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("web", plain)
		h.open()
		s.await("up/u 1")
		label := string(s.status()[:12])
		for _, step := range []struct{ send, see string }{
			{"p", "up/u paused 1"}, {"c", "up/u 1"}, {"h", "up/u 1 HUP"}, {"o", once("up", "1 HUP").on(p)}, {"u", "up/u 1 HUP"},
		} {
			s.send(step.send)
			s.await(step.see)
			if string(s.status()[:12]) != label {
				t.Errorf("the label has changed by %q", step.send)
			}
		}
		s.send("t")
		s.await("up/u 2 HUP TERM")
		started := string(s.status()[:12])
		if started <= label {
			t.Error("the label hasn't grown with a new start")
		}
		s.send("d")
		s.await("down/d 2 HUP TERM TERM")
		harness.Eventually(t, "the label has grown with the end", func() bool { return string(s.status()[:12]) > started })
	})
}
