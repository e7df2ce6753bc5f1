package applet

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"
)

// A zone is what the C library takes from TZ. Unlike a time.Location it knows leap seconds, which the files
// below "right" have: there, the seconds of the labels count them.
type zone struct {
	location *time.Location
	leaps    []leap
	rule     bool // TZ is one, as in "CET-1CEST,M3.5.0,M10.5.0/3"
}

// A leap says that from a second on so many leap seconds are to be subtracted.
type leap struct{ from, total int64 }

const zoneDirectory = "/usr/share/zoneinfo"

// loadZone finds the zone as the C library does: TZ names a file, or is a rule itself.
// Without TZ it is that of /etc/localtime; what can't be made sense of is UTC.
func loadZone(lookup func(string) (string, bool), read func(string) ([]byte, error)) *zone {
	name, set := lookup("TZ")
	name = strings.TrimPrefix(name, ":")
	switch {
	case !set:
		name = "/etc/localtime"
	case name == "":
		return &zone{location: time.UTC}
	}
	path := name
	if !strings.HasPrefix(name, "/") {
		dir, _ := lookup("TZDIR")
		if dir == "" {
			dir = zoneDirectory
		}
		path = dir + "/" + name
	}
	if data, err := read(path); err == nil {
		if location, err := time.LoadLocationFromTZData(name, data); err == nil {
			return &zone{location: location, leaps: parseLeaps(data)}
		}
	}
	if location, err := time.LoadLocationFromTZData(name, ruleFile(name)); err == nil {
		return &zone{location: location, rule: true}
	}
	return &zone{location: time.UTC}
}

// local returns the local time of a second, as a time whose location is UTC, and 1 if the second is a leap
// second itself, the one after that time.
func (z *zone) local(sec int64) (t time.Time, leap int) {
	at := sec
	if z.rule {
		at = max(at, 0) // to the C library, rules have no changes before 1970
	}
	_, offset := time.Unix(at, 0).In(z.location).Zone()
	total := int64(0)
	for i := len(z.leaps) - 1; i >= 0; i-- {
		l := z.leaps[i]
		if sec < l.from {
			continue
		}
		total = l.total
		before := int64(0)
		if i > 0 {
			before = z.leaps[i-1].total
		}
		if sec == l.from && l.total > before {
			leap = 1
		}
		break
	}
	return time.Unix(sec-total+int64(offset), 0).UTC(), leap
}

// The header of a TZif file (RFC 9636): the magic, the version, 15 bytes unused, six counts of 4 bytes.
const (
	tzHeader = 44
	tzMagic  = "TZif"
)

// parseLeaps reads the leap seconds of a TZif file. What is cut short has none.
func parseLeaps(data []byte) []leap {
	header, ok := readHeader(data)
	if !ok {
		return nil
	}
	width := 4 // of a time
	if header.version >= '2' {
		// All is there a second time, with times of 8 bytes.
		skip := tzHeader + header.size(4)
		if skip > len(data) {
			return nil
		}
		data, width = data[skip:], 8
		if header, ok = readHeader(data); !ok {
			return nil
		}
	}
	start, end := tzHeader+header.beforeLeaps(width), tzHeader+header.beforeLeaps(width)+header.leap*(width+4)
	if end > len(data) {
		return nil
	}
	var leaps []leap
	for b := data[start:end]; len(b) > 0; b = b[width+4:] {
		from := int64(int32(binary.BigEndian.Uint32(b)))
		if width == 8 {
			from = int64(binary.BigEndian.Uint64(b))
		}
		leaps = append(leaps, leap{from, int64(int32(binary.BigEndian.Uint32(b[width:])))})
	}
	return leaps
}

// A tzCounts is how many entries of each kind follow a header.
type tzCounts struct {
	version                             byte
	isUT, isStd, leap, time, kind, char int
}

func readHeader(data []byte) (h tzCounts, ok bool) {
	if len(data) < tzHeader || !bytes.HasPrefix(data, []byte(tzMagic)) {
		return h, false
	}
	h.version = data[4]
	for i, n := range [...]*int{&h.isUT, &h.isStd, &h.leap, &h.time, &h.kind, &h.char} {
		*n = int(binary.BigEndian.Uint32(data[20+4*i:]))
		if *n > len(data) { // each takes a byte at least
			return h, false
		}
	}
	return h, true
}

func (h tzCounts) beforeLeaps(width int) int { return h.time*(width+1) + h.kind*6 + h.char }

func (h tzCounts) size(width int) int {
	return h.beforeLeaps(width) + h.leap*(width+4) + h.isStd + h.isUT
}

// ruleFile makes a TZif file of a rule: one without transitions, so that the rule in its last line holds
// always.
func ruleFile(rule string) []byte {
	header := append([]byte(tzMagic+"2"), make([]byte, tzHeader-5)...)
	header[39], header[43] = 1, 4 // one kind of time, with a name of 4 bytes
	body := append(make([]byte, 6), "UTC\x00"...)
	file := append(append(header, body...), append(header, body...)...)
	return append(append(file, '\n'), rule+"\n"...)
}
