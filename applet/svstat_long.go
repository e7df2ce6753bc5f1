package applet

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"upkeep/fsstate"
)

const localTime = "2006-01-02 15:04:05"

func (s *service) writeLong(out io.Writer) {
	line := func(label, format string, args ...any) {
		fmt.Fprintf(out, "    %-9s  %s\n", label, printable(fmt.Sprintf(format, args...)))
	}
	if s.unreadable != "" {
		fmt.Fprintf(out, "%s: %s\n", printable(s.dir), s.unreadable)
	} else {
		fmt.Fprintf(out, "%s: %s\n", printable(s.dir), s.longBody(s.main))
		line("since", "%s", s.main.Since.Time().Local().Format(localTime))
	}
	if i := s.info(); i != nil {
		if i.Cause != "" {
			line("cause", "%s", i.Cause)
		}
		if n := restarts(i); n != nil {
			line("restarts", "%d", *n)
		}
		if end := lastExit(i); end != "" {
			line("last exit", "%s", end)
		}
		writeUsage(line, i)
		if i.Note != "" {
			line("note", "%s", i.Note)
		}
	}
	switch {
	case s.logDir != nil && s.logDir.unreadable != "":
		line("log", "%s", s.logDir.unreadable)
	case s.logDir != nil:
		line("log", "%s", s.logDir.longBody(s.logDir.main))
		if i := s.logDir.info(); i != nil && i.Cause != "" {
			line("log cause", "%s", i.Cause)
		}
	case s.log != nil:
		line("log", "%s", (&service{down: s.down, now: s.now}).longBody(*s.log))
	}
}

// longBody is, for instance, "up 3d 4h, pid 1234, normally down".
func (s *service) longBody(p process) string {
	body := "down"
	if p.Pid != 0 {
		body = "up"
	}
	phase := s.phase(p)
	body += " " + human(elapsed(p.Since, s.now))
	if phase != "up" && phase != "down" {
		body += ", " + phase
	}
	if p.Pid != 0 {
		body += fmt.Sprintf(", pid %d", p.Pid)
		if p.Want == fsstate.WantOnce {
			body += ", once"
		}
	}
	return body + s.contrasts(p)
}

func lastExit(i *fsstate.Info) string {
	var end string
	switch {
	case i.Signal != nil:
		end = "killed by " + signalName(*i.Signal)
		if i.OOM {
			end += " of the kernel, out of memory"
		}
	case i.Code != nil:
		end = fmt.Sprintf("code %d", *i.Code)
	case i.Ended != nil:
		end = "unknown how"
	default:
		return ""
	}
	if i.Ended != nil {
		end += ", " + i.Ended.Time().Local().Format(localTime)
	}
	return end
}

// human writes a number of seconds in its two largest units: "3d 4h", "5m 3s", "12s".
func human(seconds uint64) string {
	d := seconds / 86400
	h, m, s := seconds/3600%24, seconds/60%60, seconds%60
	switch {
	case d > 0:
		return fmt.Sprintf("%dd %dh", d, h)
	case h > 0:
		return fmt.Sprintf("%dh %dm", h, m)
	case m > 0:
		return fmt.Sprintf("%dm %ds", m, s)
	}
	return fmt.Sprintf("%ds", s)
}

// printable keeps a name or a text from acting on the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
