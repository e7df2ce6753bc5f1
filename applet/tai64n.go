package applet

import (
	"bytes"
	"time"

	"upkeep/tai64"
)

// tai64n copies its input and puts a label before each line: the time when the first byte of the line was
// there. It says nothing about errors.
func tai64n(c *call) int {
	s := lineStamper{now: time.Now}
	return c.filter(s.append, nil)
}

// A lineStamper puts labels before lines.
type lineStamper struct {
	now    func() time.Time
	inLine bool
}

func (s *lineStamper) append(dst, src []byte) []byte {
	for len(src) > 0 {
		if !s.inLine {
			dst = append(stampOf(s.now()).AppendText(dst), ' ')
		}
		end := bytes.IndexByte(src, '\n')
		s.inLine = end < 0
		if s.inLine {
			return append(dst, src...)
		}
		dst, src = append(dst, src[:end+1]...), src[end+1:]
	}
	return dst
}

// stampOf is the label of a time as the family makes it: with microseconds, and half a one more.
func stampOf(t time.Time) tai64.Label {
	l := tai64.FromTime(t)
	l.Nano = l.Nano/1000*1000 + 500
	return l
}

// filter copies standard input to standard output through change. All that came of what was read is written
// before more is read, so that a part of a line is passed on at once. finish, unless nil, adds what is to
// follow at the end of input. Errors are told by the exit code alone.
func (c *call) filter(change func(dst, src []byte) []byte, finish func(dst []byte) []byte) int {
	plainSignals()
	in := make([]byte, 16<<10)
	var out []byte
	for {
		n, err := c.stdin.Read(in)
		if n > 0 {
			out = change(out[:0], in[:n])
			if !c.put(out) {
				return exitTemporary
			}
			continue
		}
		if !endOfInput(err) {
			return exitTemporary
		}
		if finish != nil && !c.put(finish(out[:0])) {
			return exitTemporary
		}
		return exitOK
	}
}

// put writes to standard output and tells whether that worked.
func (c *call) put(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	_, err := c.stdout.Write(b)
	return err == nil
}
