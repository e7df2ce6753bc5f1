package fsstate

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"upkeep/tai64"
)

// An Info is what upkeep writes to supervise/resume beside the status: what the status file has no
// bytes for, and what an upkeep that is started anew needs to go on where another one has ended. The file is
// one line of key=value pairs separated by spaces. In a value every space, control byte, "%" and "=" is
// written %XX. A key that is absent means unknown or none; a reader ignores the keys that it does not know,
// whatever the version: no key ever changes its meaning.
type Info struct {
	// World is the running system that pid belongs to: the boot and the PID namespace. Elsewhere, as after
	// a reboot, the pid is a stranger's and what was wanted is over.
	World    string       // world
	Start    uint64       // start: when the process was started, in ticks since the boot; 0 if after and by say it
	After    uint64       // after: the process was, or will be, started at this tick or later
	By       uint64       // by: it was started by this tick, and had its pid then
	Since    *tai64.Label // since: as in the status file
	Leave    bool         // leave: 1 if supervision ends with the process
	Term     bool         // term: 1 if the process was told to end and has not ended
	Pause    bool         // paused: 1 as in the status file
	Prepared bool         // prepared: 1 if a start script need not run before run
	Letters  string       // letters: those among d, u, o and x that are still to be acted upon
	Notice   string       // notice: open if run was started with supervise/notice, closed if it has closed it since
	Pace     int          // pace: seconds between two starts that a backoff file has brought about

	Format Format       // format: of the status file beside it, runit if absent
	Pid    int          // pid: as in the status file, 0 if none
	Phase  string       // phase: down, starting, up, stopping, waiting, clearing or gone
	Want   *Want        // want: up, down or once
	Starts *int         // starts: how often run has been started since the service was taken up
	Code   *int         // code: exit code of the last run, if it exited
	Signal *int         // signal: number of the signal that ended the last run, if one did
	Ended  *tai64.Label // ended: when the last run ended, 24 hexadecimal digits
	OOM    bool         // oom: 1 if that signal was the kernel's, for want of memory
	Cgroup string       // cgroup: the directory of the service's cgroup, if it has one
	Cause  string       // cause: why the service does not run, free text
	Note   string       // note: what else the administrator should know, free text
}

// In tells whether it was recorded in that world, which must be known.
func (i *Info) In(world string) bool { return i.World == world && world != "" }

// Is tells whether the process that has the recorded pid now, and was started at that tick, is the recorded one.
func (i *Info) Is(start uint64) bool {
	if i.By != 0 {
		return i.After <= start && start <= i.By
	}
	return start == i.Start
}

const infoVersion = "1"

// String returns "up", "down" or "once", and nothing for any other byte.
func (w Want) String() string {
	switch w {
	case WantUp:
		return "up"
	case WantDown:
		return "down"
	case WantOnce:
		return "once"
	}
	return ""
}

// Append appends the line, with its newline.
func (i Info) Append(dst []byte) []byte {
	dst = append(dst, "v="+infoVersion...)
	add := func(key, value string) {
		if value != "" {
			dst = append(dst, ' ')
			dst = append(dst, key...)
			dst = append(dst, '=')
			dst = appendEscaped(dst, value)
		}
	}
	number := func(key string, n *int) {
		if n != nil {
			add(key, strconv.Itoa(*n))
		}
	}
	flag := func(key string, on bool) {
		if on {
			add(key, "1")
		}
	}
	tick := func(key string, n uint64) {
		if n != 0 {
			add(key, strconv.FormatUint(n, 10))
		}
	}
	add("format", i.Format.String())
	add("world", i.World)
	tick("start", i.Start)
	tick("by", i.By)
	tick("after", i.After)
	label := func(key string, l *tai64.Label) {
		if l != nil {
			add(key, l.String()[1:])
		}
	}
	label("since", i.Since)
	flag("leave", i.Leave)
	flag("term", i.Term)
	flag("paused", i.Pause)
	flag("prepared", i.Prepared)
	add("letters", i.Letters)
	add("notice", i.Notice)
	if i.Pace != 0 {
		number("pace", &i.Pace)
	}
	if i.Pid != 0 {
		number("pid", &i.Pid)
	}
	add("phase", i.Phase)
	if i.Want != nil {
		add("want", i.Want.String())
	}
	number("starts", i.Starts)
	number("code", i.Code)
	number("signal", i.Signal)
	label("ended", i.Ended)
	flag("oom", i.OOM)
	add("cgroup", i.Cgroup)
	add("cause", i.Cause)
	add("note", i.Note)
	return append(dst, '\n')
}

func appendEscaped(dst []byte, s string) []byte {
	for _, c := range []byte(s) {
		if c <= ' ' || c == '%' || c == '=' || c == 0x7f {
			dst = fmt.Appendf(dst, "%%%02X", c)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errors.New("% at the end")
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%q is no %%XX", s[i:i+3])
		}
		out = append(out, byte(c))
		i += 2
	}
	return string(out), nil
}

// ParseInfo reads the line, which must have its newline; lines after it are not looked at.
func ParseInfo(b []byte) (Info, error) {
	var i Info
	line, _, whole := bytes.Cut(b, []byte("\n"))
	if !whole {
		return Info{}, errors.New("no newline: the file is cut short")
	}
	versioned := false
	for word := range strings.SplitSeq(string(line), " ") {
		if word == "" {
			continue
		}
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return Info{}, fmt.Errorf("%q is no key=value", word)
		}
		value, err := unescape(value)
		if err != nil {
			return Info{}, fmt.Errorf("key %s: %w", key, err)
		}
		versioned = versioned || key == "v"
		if err := i.set(key, value); err != nil {
			return Info{}, fmt.Errorf("key %s: %w", key, err)
		}
	}
	if !versioned {
		return Info{}, errors.New("no version: this is not upkeep's")
	}
	return i, nil
}

func (i *Info) set(key, value string) (err error) {
	switch key {
	case "format":
		i.Format, err = ParseFormat(value)
	case "pid":
		i.Pid, err = parseNumber(value)
	case "phase":
		i.Phase = value
	case "want":
		i.Want, err = parseWant(value)
	case "starts":
		i.Starts, err = parseSome(value)
	case "code":
		i.Code, err = parseSome(value)
	case "signal":
		i.Signal, err = parseSome(value)
	case "ended":
		i.Ended, err = parseLabel(value)
	case "world":
		i.World = value
	case "start":
		i.Start, err = strconv.ParseUint(value, 10, 64)
	case "by":
		i.By, err = strconv.ParseUint(value, 10, 64)
	case "after":
		i.After, err = strconv.ParseUint(value, 10, 64)
	case "since":
		i.Since, err = parseLabel(value)
	case "leave":
		i.Leave = value == "1"
	case "term":
		i.Term = value == "1"
	case "paused":
		i.Pause = value == "1"
	case "prepared":
		i.Prepared = value == "1"
	case "letters":
		i.Letters = value
	case "notice":
		i.Notice = value
	case "pace":
		i.Pace, err = parseNumber(value)
	case "oom":
		i.OOM = value == "1"
	case "cgroup":
		i.Cgroup = value
	case "cause":
		i.Cause = value
	case "note":
		i.Note = value
	}
	return err
}

func parseLabel(s string) (*tai64.Label, error) {
	l, ok := tai64.Parse("@" + s)
	if !ok {
		return nil, fmt.Errorf("%q is no TAI64N label", s)
	}
	return &l, nil
}

func parseNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err
}

func parseSome(s string) (*int, error) {
	n, err := parseNumber(s)
	return &n, err
}

func parseWant(s string) (*Want, error) {
	for _, w := range []Want{WantUp, WantDown, WantOnce} {
		if w.String() == s {
			return &w, nil
		}
	}
	return nil, fmt.Errorf("%q is none of up, down, once", s)
}
