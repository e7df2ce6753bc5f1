package applet

import (
	"strings"
	"testing"
)

func TestSvcCommands(t *testing.T) {
	for _, c := range []struct{ letters, want string }{
		{"", ""},
		{"dx", "dx"},
		{"xd", "xd"},
		{"udu", "ud"},
		{"ududd", "ud"},
		{"q12w", "q12w"},
		// With an addressee: daemontools-encore's bytes.
		{"udLudlu", "ludLudlu"},
		{"Lu", "lLu"},
		{"lu", "llu"},
		{"+t", "l+t"},
		{"+t=t", "l+t="},
		{"uuLuu", "luLu"},
		{strings.Repeat("L", 31), "l" + strings.Repeat("L", 31)},
	} {
		got, err := svcCommands([]byte(c.letters))
		if err != nil || string(got) != c.want {
			t.Errorf("%q: %q, %v, want %q", c.letters, got, err, c.want)
		}
	}
	if got, err := svcCommands([]byte(strings.Repeat("L", 32))); err == nil {
		t.Errorf("33 bytes: %q", got)
	}
}
