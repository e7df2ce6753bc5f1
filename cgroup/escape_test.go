package cgroup

import (
	"strings"
	"testing"
)

func TestEscape(t *testing.T) {
	for name, want := range map[string]string{
		"web":               "web",
		"example.org":       "example.org",
		"a b":               "a b",
		"cpu":               "cpu",
		"cpu.d":             "_cpu.d",
		"memory.max":        "_memory.max",
		"cgroup.procs":      "_cgroup.procs",
		"cgroups.d":         "cgroups.d",
		"_web":              "__web",
		"":                  "_",
		".":                 "_.",
		"..":                "_..",
		".hidden":           "_.hidden",
		"tasks":             "_tasks",
		"notify_on_release": "_notify_on_release",
		"supervisor":        "_supervisor",
		"upkeep-service":    "_upkeep-service",
		"a/b":               `a\x2fb`,
		"a\nb":              `a\x0ab`,
		`a\x2fb`:            `a\x5cx2fb`,
		"\x00":              `\x00`,
		"caf\xe9":           "caf\xe9",
	} {
		if got := escape(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

// unescape is the inverse of escape, where there is no hash. It shows that nothing is lost.
func unescape(t *testing.T, s string) string {
	s = strings.TrimPrefix(s, "_")
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i+3 >= len(s) || s[i+1] != 'x' {
			t.Fatalf("a lone backslash in %q", s)
		}
		const digits = "0123456789abcdef"
		b.WriteByte(byte(strings.IndexByte(digits, s[i+2])<<4 | strings.IndexByte(digits, s[i+3])))
		i += 3
	}
	return b.String()
}

func TestEscapeLongNames(t *testing.T) {
	seen := make(map[string]string)
	for _, name := range []string{
		strings.Repeat("a", 255), "_" + strings.Repeat("a", 254), strings.Repeat("a", 256), strings.Repeat("a", 300),
		strings.Repeat("\n", 255), strings.Repeat("\n", 254) + "a", "." + strings.Repeat("b", 254),
		strings.Repeat(`\`, 255),
	} {
		got := escape(name)
		if len(got) > maxName {
			t.Errorf("%q becomes %d bytes long", name, len(got))
		}
		if other, there := seen[got]; there {
			t.Errorf("%q and %q both become %q", name, other, got)
		}
		seen[got] = name
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("web")
	f.Add("cgroup.procs")
	f.Add("_\\x41/\n\x00\xff")
	f.Add(strings.Repeat("/", 200))
	f.Fuzz(func(t *testing.T, name string) {
		got := escape(name)
		switch {
		case got == "", got == ".", got == "..", strings.ContainsAny(got, "/\n\x00"), len(got) > maxName:
			t.Fatalf("%q becomes %q, which the kernel refuses", name, got)
		case got == supervisorName, strings.HasPrefix(got, tagPrefix), got[0] == '.':
			t.Fatalf("%q becomes %q, which means something else", name, got)
		}
		if !strings.Contains(got, `\h`) {
			if back := unescape(t, got); back != name {
				t.Fatalf("%q becomes %q, which says %q", name, got, back)
			}
		}
	})
}

func TestTag(t *testing.T) {
	seen := make(map[string]bool)
	for _, root := range []string{"/service", "/etc/service", "/service/", "/", "", "/a b\n", "/" + strings.Repeat("x", 4000)} {
		got := tag(root)
		if seen[got] || len(got) > 64 || strings.ContainsAny(got, " /\n") {
			t.Errorf("%q becomes %q", root, got)
		}
		seen[got] = true
		if got != tag(root) {
			t.Errorf("%q becomes something else each time", root)
		}
	}
}
