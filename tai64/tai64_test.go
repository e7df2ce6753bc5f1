package tai64_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"

	"upkeep/tai64"
)

// Labels observed from the original tools.
var labels = []struct {
	time  time.Time
	label string
}{
	{time.Unix(935467445, 787492500), "@4000000037c219bf2ef02e94"},
	{time.Unix(0, 500), "@400000000000000a000001f4"},
	{time.Unix(0, 0), "@400000000000000a00000000"},
	{time.Unix(-1, 0), "@400000000000000900000000"},
}

func TestLabelsOfTheOriginals(t *testing.T) {
	for _, c := range labels {
		l := tai64.FromTime(c.time)
		if l.String() != c.label {
			t.Errorf("FromTime(%v) = %v, want %s", c.time.UTC(), l, c.label)
		}
		got, ok := tai64.Parse(c.label)
		if !ok || got != l {
			t.Errorf("Parse(%q) = %v, %v, want %v", c.label, got, ok, l)
		}
		if !got.Time().Equal(c.time) {
			t.Errorf("time of %s is %v, want %v", c.label, got.Time(), c.time.UTC())
		}
		external := l.Append([]byte("x"))
		if want := "x" + mustHex(t, c.label[1:]); string(external) != want {
			t.Errorf("external form of %s is %x, want %x", c.label, external, want)
		}
		if back, ok := tai64.Unpack(external[1:]); !ok || back != l {
			t.Errorf("Unpack(%x) = %v, %v", external[1:], back, ok)
		}
	}
}

func TestTimeToLabelAndBack(t *testing.T) {
	now := time.Now()
	if got := tai64.FromTime(now).Time(); !got.Equal(now) {
		t.Errorf("%v became %v", now, got)
	}
	before, now64, after := time.Now(), tai64.Now().Time(), time.Now()
	if now64.Before(before.Round(0)) || now64.After(after.Round(0)) {
		t.Errorf("Now is %v, not between %v and %v", now64, before, after)
	}
}

func TestNanosecondsOutOfRange(t *testing.T) {
	l, ok := tai64.Parse("@4000000058684680ffffffff")
	if !ok || l.Nano != math.MaxUint32 {
		t.Fatalf("got %+v, %v", l, ok)
	}
	if got, want := l.Time(), time.Unix(1483228790, math.MaxUint32); !got.Equal(want) {
		t.Errorf("time is %v, want %v", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	good := labels[0].label
	for _, s := range []string{
		"", "@", "@ x", "@zzz", good[1:], good[:24], good + "0", good + " ", "x" + good[1:],
		strings.ToUpper(good), "@" + strings.Repeat("g", 24), "@400000003 c219bf2ef02e94",
	} {
		if l, ok := tai64.Parse(s); ok {
			t.Errorf("Parse(%q) = %v", s, l)
		}
	}
	for _, n := range []int{0, 1, 11, 13, 16} {
		if l, ok := tai64.Unpack(make([]byte, n)); ok {
			t.Errorf("Unpack of %d bytes = %v", n, l)
		}
	}
}

func FuzzLabel(f *testing.F) {
	for _, c := range labels {
		f.Add(c.label, []byte(mustHex(f, c.label[1:])))
	}
	f.Add("@", []byte{})
	f.Add("@ffffffffffffffffffffffff", bytes.Repeat([]byte{0xff}, 12))
	f.Fuzz(func(t *testing.T, s string, b []byte) {
		if l, ok := tai64.Parse(s); ok {
			_ = l.Time() // must not panic
			if l.String() != s {
				t.Errorf("%q came back as %q", s, l)
			}
		}
		if l, ok := tai64.Unpack(b); ok {
			_ = l.Time() // must not panic
			if !bytes.Equal(l.Append(nil), b) {
				t.Errorf("%x came back as %x", b, l.Append(nil))
			}
			if back, ok := tai64.Parse(l.String()); !ok || back != l {
				t.Errorf("Parse(%q) = %v, %v", l, back, ok)
			}
		}
	})
}

func mustHex(t testing.TB, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
