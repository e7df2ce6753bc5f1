package applet

import (
	"io"
	"math"
	"os"

	"upkeep/tai64"
)

// tai64nlocal puts local times in the place of the labels that lines begin with. All else is copied
// unchanged, also what is no label or one of a time that no calendar has, of which the originals crash. A
// label whose end is missing at the end of input is dropped.
func tai64nlocal(c *call) int {
	z := loadZone(os.LookupEnv, os.ReadFile)
	r := tai64.Replacer{Format: z.appendLabel}
	return c.filter(r.Append, nil)
}

// endOfInput tells whether a read found the end of input, and not an error.
func endOfInput(err error) bool { return err == nil || err == io.EOF }

// appendLabel appends the local time of a label: YYYY-MM-DD HH:MM:SS.NNNNNNNNN.
func (z *zone) appendLabel(dst []byte, l tai64.Label) ([]byte, bool) {
	if !plausible(l) {
		return dst, false
	}
	t, leap := z.local(l.Unix())
	year, month, day := t.Date()
	if year-1900 < math.MinInt32 || year-1900 > math.MaxInt32 {
		return dst, false
	}
	hour, minute, second := t.Clock()
	// The originals have no sign for the years before the first.
	dst = appendPadded(dst, uint64(year), 0)
	dst = appendPadded(append(dst, '-'), uint64(month), 2)
	dst = appendPadded(append(dst, '-'), uint64(day), 2)
	dst = appendPadded(append(dst, ' '), uint64(hour), 2)
	dst = appendPadded(append(dst, ':'), uint64(minute), 2)
	dst = appendPadded(append(dst, ':'), uint64(second+leap), 2)
	return appendNano(dst, l.Nano), true
}

// plausible tells whether the year of a label is one that the C library has a number for, so about. Of a
// label that lacks a digit, it isn't.
func plausible(l tai64.Label) bool {
	const most = (1<<31 + 2000) * 31_556_952 // years of so many seconds on average
	return l.Unix() >= -most && l.Unix() <= most
}
