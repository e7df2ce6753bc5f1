package fsstate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"upkeep/fsstate"
	"upkeep/test/harness"
)

func TestAfter(t *testing.T) {
	for text, test := range map[string]struct {
		want []string
		bad  string
	}{
		"":                                {nil, ""},
		"\n\n":                            {nil, ""},
		"dns":                             {[]string{"dns"}, ""},
		"dns\n":                           {[]string{"dns"}, ""},
		"dns\r\n\n# not\n  web \t\ndns\n": {[]string{"dns", "web"}, ""},
		"a b\nz#\n":                       {[]string{"a b", "z#"}, ""},
		"web/log\ndns\n.x\n\x00\n":        {[]string{"dns"}, "«web/log» «.x» «\x00»"},
		"/a\n/b\n/c\n/d\n":                {nil, "«/a» «/b» «/c»"},
		strings.Repeat("n", 255):          {[]string{strings.Repeat("n", 255)}, ""},
		strings.Repeat("n", 256):          {nil, "«" + strings.Repeat("n", 256) + "»"},
	} {
		dir := service(t)
		harness.WriteFile(t, dir+"/after", text, 0o644)
		d, err := fsstate.Read(dir)
		var bad []string
		for line := range strings.FieldsSeq(test.bad) {
			line = strings.Trim(line, "«»")
			bad = append(bad, fmt.Sprintf("after holds %.255q, which is no name of a service; that line counts for nothing", line))
		}
		if !slices.Equal(d.After, test.want) || message(err) != strings.Join(bad, "\n") || d.Dialect != fsstate.Daemontools {
			t.Errorf("%.40q: %.40q, %v", text, d.After, err)
		}
	}
}

func TestHugeAfter(t *testing.T) {
	dir := service(t)
	var b strings.Builder
	for i := 0; b.Len() < 65536-8; i++ {
		fmt.Fprintf(&b, "%07d\n", i)
	}
	harness.WriteFile(t, dir+"/after", b.String(), 0o644)
	if d, err := fsstate.Read(dir); len(d.After) != 8191 || err != nil {
		t.Errorf("%d names, %v", len(d.After), err)
	}
	harness.WriteFile(t, dir+"/after", b.String()+strings.Repeat("x", 9), 0o644)
	if d, err := fsstate.Read(dir); len(d.After) != 0 || message(err) != "after is longer than 65536 bytes; the start waits for nothing" {
		t.Errorf("%d names, %v", len(d.After), err)
	}
}

// FuzzRead: whatever the files of a directory hold, each is read as what it says, or as its default and
// with an error that names it.
func FuzzRead(f *testing.F) {
	f.Add([]byte("30\n"), []byte("5000"), []byte("HUP\n"), []byte("/run/x.pid\n"), []byte("dns\nweb\n"), []byte("#!/bin/sh\n"))
	f.Add([]byte(""), []byte("-1"), []byte("sig2"), []byte("\n"), []byte(".\n"), []byte("\x7fELF"))
	f.Add([]byte("4294967296"), []byte("00000000000"), []byte("RTMIN"), []byte("a\x00"), []byte("a/b"), []byte("#!execlineb"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, backoff, fd, signal, trigger, after, run []byte) {
		files := map[string][]byte{"backoff": backoff, "notification-fd": fd, "down-signal": signal, "trigger": trigger, "after": after, "run": run}
		for name, text := range files {
			harness.WriteFile(t, dir+"/"+name, string(text), 0o755)
		}
		d, err := fsstate.Read(dir)
		bad := func(name string) bool { return strings.Contains("\n"+message(err), "\n"+name+" ") }
		first := func(text []byte) string { line, _, _ := strings.Cut(string(text), "\n"); return line }
		if n, ok := decimal(first(backoff)); ok == bad("backoff") || ok && uint64(d.Backoff.Seconds()) != n || !ok && d.Backoff != 0 {
			t.Errorf("backoff with %q: %v, %v", backoff, d.Backoff, err)
		}
		n, ok := decimal(first(fd))
		if ok = ok && n > 0 && n < 1<<20; ok == bad("notification-fd") || ok && uint64(d.NotificationFD) != n || !ok && d.NotificationFD != 0 {
			t.Errorf("notification-fd with %q: %v, %v", fd, d.NotificationFD, err)
		}
		if d.DownSignal < 1 || d.DownSignal > 64 || bad("down-signal") && d.DownSignal != 15 {
			t.Errorf("down-signal with %q: %v, %v", signal, d.DownSignal, err)
		}
		if (d.Trigger == "") != bad("trigger") || strings.ContainsAny(string(d.Trigger), "\n\x00") {
			t.Errorf("trigger with %q: %q, %v", trigger, d.Trigger, err)
		}
		for _, name := range d.After {
			if name == "" || len(name) > 255 || strings.ContainsAny(name, "/\n\x00") || name[0] == '.' || name[0] == '#' {
				t.Errorf("after with %q: %q", after, d.After)
			}
		}
		if d.Dialect != fsstate.S6 || d.Reason() == "" {
			t.Errorf("%v: %s", d.Dialect, d.Reason())
		}
	})
}

// decimal is what a number file may say.
func decimal(line string) (n uint64, ok bool) {
	if line == "" || len(line) > 11 || strings.Trim(line, "0123456789") != "" {
		return 0, false
	}
	for _, c := range line {
		n = n*10 + uint64(c-'0')
	}
	return n, n < 1<<32
}
