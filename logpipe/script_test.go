package logpipe

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// describe shows what a script does, one word for each action.
func describe(s Script) string {
	words := []string{[]string{"unstamped", "labels", "fractions"}[s.stamp]}
	for _, a := range s.actions {
		switch a.verb {
		case selects, deselects:
			sign := map[verb]string{selects: "+", deselects: "-"}[a.verb]
			if a.pattern.shell {
				sign += "F"
			}
			words = append(words, sign+a.pattern.text)
		case alerts:
			words = append(words, "e")
		case shows:
			words = append(words, "="+s.statusFiles[a.index])
		case keeps:
			d := s.directories[a.index]
			processor := "none"
			if d.processor != nil {
				processor = "!" + *d.processor
			}
			words = append(words, fmt.Sprintf("%s(%d,%d,%s,%s)", d.path, d.size, d.number, processor, d.code))
		}
	}
	return strings.Join(words, " ")
}

func TestScript(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "unstamped"},
		{[]string{"t"}, "labels"},
		{[]string{"tai"}, "labels"},
		{[]string{"T"}, "fractions"},
		{[]string{"e", "t"}, "unstamped e"},
		{[]string{"", "t", "T"}, "unstamped"},
		{[]string{"./d", "/a"}, "unstamped ./d(99999,10,none,s) /a(99999,10,none,s)"},
		{[]string{".hidden", "d", "..", "s1", "n1"}, "unstamped .hidden(99999,10,none,s) ..(99999,10,none,s)"},
		{[]string{"s16777215", "n20", "./d", "s2147483647", "./e", "s2147483648", "./f"},
			"unstamped ./d(16777215,20,none,s) ./e(2147483647,20,none,s) ./f(2147483647,20,none,s)"},
		{[]string{"sfoo", "n0", ".", "s99999999999999999999999999", "n99999999999999999999999", "./x"},
			"unstamped .(4096,2,none,s) ./x(2147483647,2147483647,none,s)"},
		{[]string{"s5000k", "n7x", ".", "s-1", "n-1", "./x"}, "unstamped .(5000,7,none,s) ./x(4096,2,none,s)"},
		{[]string{"!gzip -9", "./a", "!", "./b", "wx", "./c"},
			"unstamped ./a(99999,10,!gzip -9,s) ./b(99999,10,!,s) ./c(99999,10,!,x)"},
		{[]string{"-*", "+a*", "F", "-[a-c]*", "+*", "S", "-*", "e", "=st", "-", "+"},
			"unstamped -* +a* -F[a-c]* +F* -* e =st - +"},
		{[]string{"exit", "=", "q", "?", "Foo", "-x", "Sbar", "-y"}, "unstamped e = -Fx -y"},
	} {
		if got := describe(ParseScript(c.args)); got != c.want {
			t.Errorf("%q:\n%s\nwant\n%s", c.args, got, c.want)
		}
	}
}

func FuzzScript(f *testing.F) {
	f.Add("t\x00s16777215\x00n20\x00./d")
	f.Add("T\x00-*\x00F\x00+[a\x00!gzip\x00wq\x00/d\x00=st\x00e")
	f.Fuzz(func(t *testing.T, joined string) {
		args := strings.Split(joined, "\x00")
		s := ParseScript(args)
		var want []string
		for _, arg := range args {
			if strings.HasPrefix(arg, ".") || strings.HasPrefix(arg, "/") {
				want = append(want, arg)
			}
		}
		var got []string
		for _, d := range s.directories {
			got = append(got, d.path)
			if d.size < minSize || d.size > maxSize || d.number < minNumber {
				t.Errorf("%q: size %d, number %d", args, d.size, d.number)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: directories %q", args, got)
		}
		if len(s.actions) > len(args) {
			t.Errorf("%q: %d actions", args, len(s.actions))
		}
	})
}
