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
// bytes for. The file is one line of key=value pairs separated by spaces. In a value every space,
// control byte, "%" and "=" is written %XX. A key that is absent means unknown or none; a reader
// ignores the keys that it does not know.
type Info struct {
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
	add("format", i.Format.String())
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
	if i.Ended != nil {
		add("ended", i.Ended.String()[1:])
	}
	if i.OOM {
		add("oom", "1")
	}
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
	version := ""
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
		if key == "v" {
			version = value
		} else if err := i.set(key, value); err != nil {
			return Info{}, fmt.Errorf("key %s: %w", key, err)
		}
	}
	if version != infoVersion {
		return Info{}, fmt.Errorf("version %q, want %q", version, infoVersion)
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
		l, ok := tai64.Parse("@" + value)
		if !ok {
			return fmt.Errorf("%q is no TAI64N label", value)
		}
		i.Ended = &l
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
