package chaos_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
)

// A loss is the numbers that a logger which was killed may have read and not written.
type loss struct{ first, last int }

// endLogger ends the logger: kindly, when no line may be lost, or with those lines that it has read and not written.
func (s *service) endLogger(sig unix.Signal) {
	if !s.lasts() {
		s.supervised()
	}
	pid := s.logger()
	if pid == 0 {
		return
	}
	written := s.written()
	unix.Kill(pid, sig)
	s.ended = pid
	if sig == unix.SIGKILL {
		s.losses = append(s.losses, loss{written + 1, s.counted() + 1})
	}
}

// logger is the logger's process, 0 for none.
func (s *service) logger() int {
	st, ok := rig.StatusOf(filepath.Join(s.dir, "log", "supervise"))
	if !ok || st.Pid <= 1 || !rig.Alive(st.Pid) {
		return 0
	}
	if at, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", st.Pid)); at != filepath.Join(s.dir, "log") {
		return 0
	}
	return st.Pid
}

// lasts tells whether the service certainly has its process, and with it the log pipe, and logged the same of the logger.
// What is in the pipe goes when the daemon, the service and the logger are all gone.
func (s *service) lasts() bool  { return !s.touched && s.want == 'u' }
func (s *service) logged() bool { pid := s.logger(); return pid != 0 && pid != s.ended }

// counted is the last number that the writer has noted, and written the last one in the log.
func (s *service) counted() int {
	text, _ := os.ReadFile(filepath.Join(s.w.top, fmt.Sprintf("count%d", s.n)))
	return lastNumber(string(text))
}

func (s *service) written() int { return lastNumber(s.log()) }

// log is all that the logger keeps: what one that was killed has written is in files of their own.
func (s *service) log() string {
	dir := filepath.Join(s.w.top, fmt.Sprintf("log%d", s.n))
	for {
		old, _ := filepath.Glob(dir + "/@*")
		text := ""
		for _, path := range append(slices.Clone(old), dir+"/current") {
			part, _ := os.ReadFile(path)
			text += string(part)
		}
		if now, _ := filepath.Glob(dir + "/@*"); slices.Equal(now, old) {
			return text
		}
	}
}

// lastNumber is that of the last whole line.
func lastNumber(text string) int {
	lines := strings.Split(text, "\n")
	n, _ := strconv.Atoi(lines[max(0, len(lines)-2)])
	return n
}

// contiguous fails the test if a line of a numbered writer is missing. A number is there twice if the writer was ended
// between saying it and noting it.
func (s *service) contiguous() {
	s.w.t.Helper()
	last := 0
	for line := range strings.Lines(s.log()) {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if !strings.HasSuffix(line, "\n") {
			return
		}
		if err != nil || n < last || n > last+1 && !s.lost(last+1, n-1) {
			s.w.t.Fatalf("%q follows %d in the log of %s; with loggers went %v", line, last, s.dir, s.losses)
		}
		last = n
	}
}

// lost tells whether these numbers went with a logger that was killed.
func (s *service) lost(first, last int) bool {
	for n := first; n <= last; n++ {
		if !slices.ContainsFunc(s.losses, func(l loss) bool { return l.first <= n && n <= l.last }) {
			return false
		}
	}
	return true
}

// complete fails the test if the end of what the writer has said is missing.
func (s *service) complete() {
	s.w.t.Helper()
	if counted, written := s.counted(), s.written(); written < counted && !s.lost(written+1, counted) {
		s.w.t.Errorf("the log of %s ends with %d of %d", s.dir, written, counted)
	}
}
