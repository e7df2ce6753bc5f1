package logpipe

import (
	"bytes"
	"strings"
	"testing"
)

// The table of what the original was observed to do.
var simplePatterns = []struct {
	pattern, line string
	matches       bool
}{
	{"one", "one", true}, {"", "", true}, {"*", "", true}, {"*", "*", true}, {"one*", "one", true},
	{"* one", " one", true}, {"* one", "xy one", true}, {"* * one", "x y one", true}, {"**", "a*b", true},
	{"a*b*c", "axbyc", true}, {"a*b*c", "abbc", true}, {"*a", "bca", true}, {"*\x00", "ab\x00", true},
	{"one", "one*", false}, {"", "x", false}, {"one*", "onf", false}, {"* one", "  one", false},
	{"* one", "xy one ", false}, {"* * one", "   one", false}, {"**", "a", false}, {"*ab", "aab", false},
	{"*status*", "x status", true}, {"*status*", "sx status", false}, {"a?", "ab", false}, {"[a]", "[a]", true},
	{"***", "**", true}, {"***", "*", true}, {"\xff*", "\xff\xfe", true}, {"*b", "a\x00b", true},
}

func TestSimplePatterns(t *testing.T) {
	for _, c := range simplePatterns {
		if got := (pattern{c.pattern, false}).matches([]byte(c.line)); got != c.matches {
			t.Errorf("%q with %q: %v", c.pattern, c.line, got)
		}
	}
}

// matchOfDaemontools is the original's algorithm, byte by byte.
func matchOfDaemontools(pattern string, line []byte) bool {
	at := func(i int) int {
		if i == len(pattern) {
			return -1
		}
		return int(pattern[i])
	}
	for i := 0; ; {
		c := at(i)
		i++
		if c < 0 {
			return len(line) == 0
		}
		if c == '*' {
			next := at(i)
			if next < 0 {
				return true
			}
			for {
				if len(line) == 0 {
					return false
				}
				if int(line[0]) == next {
					break
				}
				line = line[1:]
			}
			continue
		}
		if len(line) == 0 || int(line[0]) != c {
			return false
		}
		line = line[1:]
	}
}

func FuzzSimplePattern(f *testing.F) {
	for _, c := range simplePatterns {
		f.Add(c.pattern, []byte(c.line))
	}
	f.Fuzz(func(t *testing.T, pattern string, line []byte) {
		before := bytes.Clone(line)
		if got, want := match(pattern, line), matchOfDaemontools(pattern, line); got != want {
			t.Errorf("%q with %q: %v, want %v", pattern, line, got, want)
		}
		if !bytes.Equal(line, before) {
			t.Error("the line was changed")
		}
	})
}

// What glibc's fnmatch says in the C locale.
var shellPatterns = []struct {
	pattern, line string
	matches       bool
}{
	{"", "", true}, {"", "x", false}, {"*", "", true}, {"*", ".a/b", true}, {"?", "/", true}, {"?", "", false},
	{"*ab", "aab", true}, {"a*b*c", "a b b c", true}, {"*status*", "sx status", true}, {"**", "a", true},
	{"a*b", "a", false}, {"a\\*b", "a*b", true}, {"a\\*b", "axb", false}, {"a\\", "a\\", false}, {"\\a", "a", true},
	{"[abc]", "b", true}, {"[!abc]", "b", false}, {"[^abc]", "d", true}, {"[a-c]x", "bx", true}, {"[a-c]", "d", false},
	{"[]a]", "]", true}, {"[!]a]", "]", false}, {"[a-]", "-", true}, {"[-a]", "-", true}, {"[a", "[a", true},
	{"[", "[", true}, {"[]", "[]", true}, {"[[:digit:]]", "5", true}, {"[[:digit:]]", "x", false},
	{"[![:space:]]", "x", true}, {"[[:upper:][:digit:]_]", "_", true}, {"[\\]]", "]", true}, {"[[.-.]]", "-", true},
	{"[[=a=]b]", "a", true}, {"[a-\\c]", "b", true}, {"[c-a]", "b", false}, {"*[0-9]", "line 7", true},
	{"*.[ch]", "x.c", true}, {"*.[ch]", "x.o", false}, {"\xff?", "\xff\xfe", true}, {"a*\\", "a\\", false},
	{"[![:foo:]]", "x", false}, {"[x[:foo:]]", "x", true},
	{"[[.space.]]", "c]", false}, {"[[.ab.]]", "a", false}, {"[[.a", "[[.a", false}, {"[[=a", "[[=a", true}, {"[a-[.c.]]", "b", true},
}

func TestShellPatterns(t *testing.T) {
	for _, c := range shellPatterns {
		if got := (pattern{c.pattern, true}).matches([]byte(c.line)); got != c.matches {
			t.Errorf("%q with %q: %v", c.pattern, c.line, got)
		}
	}
}

// TestShellPatternTakesNoTime: the worst there is must not stop a log.
func TestShellPatternTakesNoTime(t *testing.T) {
	if fnmatch(strings.Repeat("*a", 300)+"b", bytes.Repeat([]byte("a"), lineHead)) {
		t.Error("it matches")
	}
}

func FuzzShellPattern(f *testing.F) {
	for _, c := range shellPatterns {
		f.Add(c.pattern, []byte(c.line))
	}
	f.Fuzz(func(t *testing.T, pattern string, line []byte) {
		got := fnmatch(pattern, line)
		if !strings.ContainsAny(pattern, `*?[\`) && got != (pattern == string(line)) {
			t.Errorf("%q with %q: %v", pattern, line, got)
		}
		if got && !fnmatch("*"+pattern, line) {
			t.Errorf("%q matches %q, but no longer after a star", pattern, line)
		}
	})
}
