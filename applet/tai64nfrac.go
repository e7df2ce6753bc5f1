package applet

import (
	"strconv"

	"upkeep/tai64"
)

// tai64nfrac puts seconds since 1970 with nine decimals in the place of the labels that lines begin with. All
// else is copied unchanged: of its originals, which differ, one ends at a line without a label, and both
// leave out the zeros before the nanoseconds.
func tai64nfrac(c *call) int {
	r := tai64.Replacer{Format: appendFraction}
	return c.filter(r.Append, r.Flush)
}

func appendFraction(dst []byte, l tai64.Label) ([]byte, bool) {
	if !plausible(l) {
		return dst, false
	}
	return appendNano(strconv.AppendInt(dst, l.Unix(), 10), l.Nano), true
}

// appendNano appends a dot and nanoseconds, in nine digits or, where a label claims so many, ten.
func appendNano(dst []byte, nano uint32) []byte {
	return appendPadded(append(dst, '.'), uint64(nano), 9)
}

// appendPadded appends a number with zeros before it up to a width.
func appendPadded(dst []byte, n uint64, width int) []byte {
	var digits [20]byte
	text := strconv.AppendUint(digits[:0], n, 10)
	for range width - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}
