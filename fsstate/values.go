package fsstate

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A ValueError is a file of a service directory that does not hold what it should.
type ValueError struct {
	File    string
	Reason  string // what is wrong with it, to be read after its name
	Instead string // what is done instead
}

func (e *ValueError) Error() string { return e.File + " " + e.Reason + "; " + e.Instead }

// problems collects the errors of reading one directory.
type problems struct{ list []error }

func (p *problems) add(f file, instead, format string, args ...any) {
	p.list = append(p.list, &ValueError{f.String(), fmt.Sprintf(format, args...), instead})
}

func (p *problems) err() error { return errors.Join(p.list...) }

// line is the first line of a file that holds one short value. ok is false without the file, and where
// it cannot be read, which is then a problem.
func (l *listing) line(f file, buf []byte, instead string, bad *problems) (line []byte, ok bool) {
	text, err := l.read(f, buf)
	if err == unix.ENOENT {
		return nil, false
	}
	if err != nil {
		bad.add(f, instead, "cannot be read: %v", err)
		return nil, false
	}
	line, _, _ = bytes.Cut(text, []byte("\n"))
	return line, true
}

// number reads a file that holds a decimal number. As with s6, the number ends at the first newline and
// has at most eleven digits. Without the file, or with another value, it is standard.
func (l *listing) number(f file, standard, least, most uint32, instead string, bad *problems) uint32 {
	if !l.there.has(f) {
		return standard
	}
	var buf [numberMax + 1]byte
	line, ok := l.line(f, buf[:], instead, bad)
	if !ok {
		return standard
	}
	n, ok := parseDecimal(line)
	if !ok || n < least || n > most {
		bad.add(f, instead, "holds %q, which is not a number from %d to %d", line, least, most)
		return standard
	}
	return n
}

// numberMax is how many digits a number has at most, leading zeros included.
const numberMax = 11

func parseDecimal(text []byte) (uint32, bool) {
	if len(text) > numberMax {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text), 10, 32) // takes no sign, blank or underscore
	return uint32(n), err == nil
}

// duration reads a file that holds a number of units.
func (l *listing) duration(f file, unit, standard time.Duration, instead string, bad *problems) time.Duration {
	n := l.number(f, uint32(standard/unit), 0, math.MaxUint32, instead, bad)
	return time.Duration(n) * unit
}

// signal reads a file that holds a signal, as s6 has it: a name in any case, with or without SIG, or a
// number. Without the file it is without, and standard with a file that holds anything else.
func (l *listing) signal(f file, without, standard unix.Signal, bad *problems) unix.Signal {
	if !l.there.has(f) {
		return without
	}
	var buf [signalMax + 1]byte
	instead := strings.TrimPrefix(unix.SignalName(standard), "SIG") + " is sent"
	line, ok := l.line(f, buf[:], instead, bad)
	if !ok {
		if !l.exists(f) {
			return without
		}
		return standard
	}
	sig, ok := parseSignal(line)
	if !ok {
		bad.add(f, instead, "holds %q, which is no signal", line)
		return standard
	}
	return sig
}

// signalMax is the length of the longest text that is looked at.
const signalMax = 15

// lastSignal is the largest number of a signal on Linux.
const lastSignal = 64

func parseSignal(text []byte) (unix.Signal, bool) {
	if len(text) > signalMax {
		return 0, false
	}
	name := bytes.TrimPrefix(upper(text), []byte("SIG"))
	if n, ok := parseDecimal(name); ok {
		return unix.Signal(n), n >= 1 && n <= lastSignal
	}
	sig := unix.SignalNum("SIG" + string(name))
	return sig, sig != 0
}

// upper turns ASCII letters, and nothing else that might turn into one, to capitals.
func upper(text []byte) []byte {
	capital := make([]byte, len(text))
	for i, c := range text {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		capital[i] = c
	}
	return capital
}
