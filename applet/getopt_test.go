package applet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestGetopt(t *testing.T) {
	for _, c := range []struct {
		args     []string
		options  string // letter, or letter=value
		operands []string
		stderr   string
	}{
		{nil, "", nil, ""},
		{[]string{"-ab", "-b", "x", "-a"}, "a b b", []string{"x", "-a"}, ""},
		{[]string{"-a", "--", "-b"}, "a", []string{"-b"}, ""},
		{[]string{"-a", "-", "-b"}, "a", []string{"-", "-b"}, ""},
		{[]string{"-a", "", "-b"}, "a", []string{"", "-b"}, ""},
		{[]string{"-nval", "-an", "val", "-n", "", "-n", "-a", "x"}, "n=val a n=val n= n=-a", []string{"x"}, ""},
		{[]string{"-n", "--", "--", "x"}, "n=--", []string{"x"}, ""},
		{[]string{"-a-", "x"}, "a ?", []string{"x"}, "prog: illegal option -- -\n"},
		{[]string{"-az"}, "a ?", nil, "prog: illegal option -- z\n"},
		{[]string{"-an"}, "a ?", nil, "prog: option requires an argument -- n\n"},
		{[]string{"-:"}, "?", nil, "prog: illegal option -- :\n"},
		{[]string{"--long", "x"}, "?", []string{"x"}, "prog: illegal option -- -\n"},
		{[]string{"-\xff"}, "?", nil, "prog: illegal option -- \xff\n"},
	} {
		var stderr strings.Builder
		g := &getopt{prog: "prog", letters: "an:b", args: c.args, stderr: &stderr}
		var options []string
		for {
			letter, value, ok := g.next()
			if !ok {
				break
			}
			if letter == 'n' {
				options = append(options, fmt.Sprintf("n=%s", value))
			} else {
				options = append(options, string(letter))
			}
			if letter == badOption {
				break
			}
		}
		if got := strings.Join(options, " "); got != c.options {
			t.Errorf("%q: options %q, want %q", c.args, got, c.options)
		}
		if !slices.Equal(g.args, c.operands) && len(g.args)+len(c.operands) > 0 {
			t.Errorf("%q: operands %q, want %q", c.args, g.args, c.operands)
		}
		if stderr.String() != c.stderr {
			t.Errorf("%q: said %q, want %q", c.args, stderr.String(), c.stderr)
		}
	}
}
