// Package tai64 reads and writes TAI64N labels, the time stamps of the daemontools family, as the
// family writes them: a label is Unix time plus 2^62+10 seconds, without a table of leap seconds.
//
// No function panics, whatever the bytes.
package tai64

import (
	"encoding/binary"
	"encoding/hex"
	"time"
)

const (
	// Size is the length of a label in its external form, TextSize in its text form.
	Size     = 12
	TextSize = 1 + 2*Size

	epoch = 1<<62 + 10 // the label second of 1970-01-01 00:00:00 UTC
)

// A Label is a TAI64N time stamp. Labels read from a file can hold any value, also nanoseconds of a
// second and more.
type Label struct {
	Sec  uint64 // 2^62+10 is the start of 1970, UTC
	Nano uint32
}

// FromTime returns the label of t.
func FromTime(t time.Time) Label {
	return Label{Sec: epoch + uint64(t.Unix()), Nano: uint32(t.Nanosecond())}
}

// Now returns the label of the current wall-clock time.
func Now() Label { return FromTime(time.Now()) }

// Time returns the time of the label in UTC. Labels beyond the range of time.Time wrap around.
func (l Label) Time() time.Time {
	return time.Unix(int64(l.Sec-epoch), int64(l.Nano)).UTC()
}

// Append appends the external form of the label: 8 bytes of seconds and 4 of nanoseconds, big-endian.
func (l Label) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, l.Sec)
	return binary.BigEndian.AppendUint32(dst, l.Nano)
}

// Unpack reads the external form; ok is false unless b has 12 bytes.
func Unpack(b []byte) (l Label, ok bool) {
	if len(b) != Size {
		return Label{}, false
	}
	return Label{Sec: binary.BigEndian.Uint64(b), Nano: binary.BigEndian.Uint32(b[8:])}, true
}

// String returns the text form: "@" and 24 lowercase hexadecimal digits.
func (l Label) String() string {
	return "@" + hex.EncodeToString(l.Append(make([]byte, 0, Size)))
}

// Parse reads the text form; ok is false for anything but its exact 25 characters. Uppercase digits
// are refused, as tai64nlocal does.
func Parse(s string) (l Label, ok bool) {
	if len(s) != TextSize || s[0] != '@' {
		return Label{}, false
	}
	for i := 1; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'F' {
			return Label{}, false
		}
	}
	b, err := hex.DecodeString(s[1:])
	if err != nil {
		return Label{}, false
	}
	return Unpack(b)
}
