package logpipe

import (
	"strconv"
	"time"

	"upkeep/tai64"
)

// A stamp is what a line starts with, to tell its time.
type stamp uint8

const (
	unstamped stamp = iota
	labels          // TAI64N, of t
	fractions       // seconds and microseconds of Unix time, accustamp's format, of T
)

// append appends what a line of the time now starts with.
func (s stamp) append(dst []byte, now time.Time) []byte {
	switch s {
	case labels:
		return append(appendLabel(dst, now), ' ')
	case fractions:
		dst = strconv.AppendInt(dst, now.Unix(), 10)
		micros := strconv.AppendInt(make([]byte, 0, 7), int64(1e6+now.Nanosecond()/1000), 10)
		micros[0] = '.'
		return append(append(dst, micros...), ' ')
	}
	return dst
}

// appendLabel appends the text form of the label of now. Like daemontools' its nanoseconds are those of a
// clock of microseconds, and the half of one.
func appendLabel(dst []byte, now time.Time) []byte {
	label := tai64.FromTime(now)
	label.Nano = label.Nano/1000*1000 + 500
	return label.AppendText(dst)
}
