package tai64_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"upkeep/tai64"
)

// unix shows labels of the years around 1970 as seconds, and no others.
func unix(dst []byte, l tai64.Label) ([]byte, bool) {
	if l.Unix() < -1<<40 || l.Unix() > 1<<40 {
		return append(dst, "nonsense"...)[:len(dst)], false
	}
	dst = strconv.AppendInt(append(dst, '<'), l.Unix(), 10)
	return append(strconv.AppendUint(append(dst, ':'), uint64(l.Nano), 10), '>'), true
}

func TestReplacer(t *testing.T) {
	const label = "@400000000000000a00000001"
	for _, c := range []struct{ in, out, flushed string }{
		{"", "", ""},
		{label + " x\n", "<0:1> x\n", ""},
		{label + "\n" + label + "\n", "<0:1>\n<0:1>\n", ""},
		{"x" + label + "\n", "x" + label + "\n", ""},
		{label + label, "<0:1>" + label, ""},
		{label, "", "<0:1>"},
		{label + "A", "<0:1>A", ""},
		{"\n\n" + label + "\tpart", "\n\n<0:1>\tpart", ""},
		{"@0000400000000000000a00000001 x", "<0:1> x", ""},
		{"@", "", "@"},
		{"@\n@ x\n@zzz\n@40\n", "@\n@ x\n@zzz\n@40\n", ""},
		{"@40", "", "@40"},
		{strings.ToUpper(label) + "\n", strings.ToUpper(label) + "\n", ""},
		{"@400000000000000A00000001\n", "@400000000000000A00000001\n", ""},
		{"@" + strings.Repeat("4", 5000) + "\n" + label + "\n", "@" + strings.Repeat("4", 5000) + "\n<0:1>\n", ""},
	} {
		for size := 1; size <= len(c.in)+1; size++ {
			r := tai64.Replacer{Format: unix}
			var out []byte
			for chunk := range chunks(c.in, size) {
				out = r.Append(out, []byte(chunk))
			}
			if string(out) != c.out {
				t.Errorf("%q in pieces of %d became %q, want %q", c.in, size, out, c.out)
			}
			if flushed := r.Flush(nil); string(flushed) != c.flushed {
				t.Errorf("%q held back %q, want %q", c.in, flushed, c.flushed)
			}
			if size > 40 && size < len(c.in) {
				break
			}
		}
	}
}

func chunks(s string, size int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for len(s) > 0 {
			n := min(size, len(s))
			if !yield(s[:n]) {
				return
			}
			s = s[n:]
		}
	}
}

func FuzzReplacer(f *testing.F) {
	f.Add([]byte("@400000000000000a00000001 x\n@\nz@40\n"), 3)
	f.Add([]byte("@4000"), 1)
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		none := tai64.Replacer{Format: func(dst []byte, _ tai64.Label) ([]byte, bool) { return dst, false }}
		if out := none.Flush(none.Append(nil, in)); !bytes.Equal(out, in) {
			t.Errorf("%q became %q", in, out)
		}
		whole, parts := tai64.Replacer{Format: unix}, tai64.Replacer{Format: unix}
		want := whole.Append(nil, in)
		var got []byte
		for chunk := range chunks(string(in), max(1, size)) {
			got = parts.Append(got, []byte(chunk))
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%q in pieces of %d became %q, at once %q", in, size, got, want)
		}
	})
}

func TestAppendText(t *testing.T) {
	for _, c := range labels {
		l := tai64.FromTime(c.time)
		if got := string(l.AppendText([]byte("x"))); got != "x"+l.String() {
			t.Errorf("%q, want %q", got, l)
		}
		if l.Unix() != c.time.Unix() {
			t.Errorf("%v is the second %d", l, l.Unix())
		}
	}
}
