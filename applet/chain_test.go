package applet

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestProgramPaths(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
		want []string
	}{
		{"a/b", []string{"PATH=/x"}, []string{"a/b"}},
		{"b", []string{"PATH=/x::y/:", "PATH=/z"}, []string{"/x/b", "./b", "y//b", "./b"}},
		{"b", []string{"PATH="}, []string{"./b"}},
		{"b", []string{"PATHS=/x", "PATH"}, []string{"/bin/b", "/usr/bin/b"}},
		{"", []string{"PATH=/x"}, []string{"/x/"}},
	} {
		if got := programPaths(c.name, c.env); !slices.Equal(got, c.want) {
			t.Errorf("%q in %q: %q, want %q", c.name, c.env, got, c.want)
		}
	}
}

func TestFirstToRun(t *testing.T) {
	const none, denied, notDir = syscall.ENOENT, syscall.EACCES, syscall.ENOTDIR
	for _, c := range []struct {
		errnos []syscall.Errno
		want   syscall.Errno
		tries  int
	}{
		{[]syscall.Errno{none, none}, none, 2},
		{[]syscall.Errno{none, denied, none}, denied, 3},
		{[]syscall.Errno{denied, syscall.EPERM, none}, syscall.EPERM, 3},
		{[]syscall.Errno{denied, notDir, 0}, notDir, 2},
		{[]syscall.Errno{denied, 0, none}, 0, 2},
	} {
		tries := 0
		got := firstToRun(len(c.errnos), func(i int) syscall.Errno { tries++; return c.errnos[i] })
		if got != c.want || tries != c.tries {
			t.Errorf("%v: %v after %d, want %v after %d", c.errnos, got, tries, c.want, c.tries)
		}
	}
}

func TestChanged(t *testing.T) {
	for _, c := range []struct{ env, changes, want string }{
		{"", "A=1", "A=1"},
		{"A=1 B=2 C=3", "A=9", "C=3 B=2 A=9"},
		{"A=1 B=2 C=3", "A", "C=3 B=2"},
		{"A=1 B=2 A=3", "A", "A=3 B=2"},
		{"A=1 AB=2", "AB=3 A", "AB=3"},
		{"G=1", "G=H=eq", "G=H=eq"},
		{"A=1", "A=2 A=3", "A=3"},
		{"A=1 noequals", "noequals", "A=1 noequals"},
	} {
		env := strings.Fields(c.env)
		got := strings.Join(changed(env, strings.Fields(c.changes)), " ")
		if got != c.want {
			t.Errorf("%q with %q is %q, want %q", c.env, c.changes, got, c.want)
		}
		if strings.Join(env, " ") != c.env {
			t.Errorf("%q became %q", c.env, env)
		}
	}
}

func TestFindAccount(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/sh\nbad:x:y:0::\n\nshort:x:5:6\n#c:x:1:1:::\n+nis:x:1:1:::\nweb:x:4294967295:7:W:/srv:\nweb:x:8:8:::"
	for name, want := range map[string]account{
		"root":  {"root", 0, 0, "/root", "/bin/sh"},
		"short": {"short", 5, 6, "", ""},
		"web":   {"web", 1<<32 - 1, 7, "/srv", ""},
	} {
		if got, ok := findAccount([]byte(passwd), name); !ok || got != want {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "0", "bad", "#c", "+nis", "ROOT", "root:x"} {
		if got, ok := findAccount([]byte(passwd), name); ok {
			t.Errorf("%q: %v", name, got)
		}
	}
	groups := findGroups([]byte("a:x:1:web,root\nb:x:7:web\nc:x:2:webb\nd:x:3:x,web\nbad:x:z:web"), account{name: "web", gid: 7})
	if !slices.Equal(groups, []int{7, 1, 3}) {
		t.Errorf("groups %v", groups)
	}
}

func FuzzFileChange(f *testing.F) {
	for _, s := range []string{"", "\n", "a \t\nb", "a\x00b\r\n", " "} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		change := fileChange("N", content)
		value, set := strings.CutPrefix(change, "N=")
		if set == (len(content) == 0) || !set && change != "N" {
			t.Errorf("%q is %q", content, change)
		}
		if strings.Contains(value, "\x00") || strings.HasSuffix(value, " ") || strings.HasSuffix(value, "\t") {
			t.Errorf("%q has the value %q", content, value)
		}
		changed([]string{"N=1"}, []string{change})
	})
}

func FuzzIniChanges(f *testing.F) {
	f.Add("P_", []byte("; c\n[s]\na = 1\n[]\n=\nb\tc=1\nd="))
	f.Add("", []byte("[\n]\n[]x\n\x00=\x00\r\n"))
	f.Fuzz(func(t *testing.T, prefix string, content []byte) {
		changes := iniChanges(prefix, content)
		if len(changes) > strings.Count(string(content), "\n")+1 {
			t.Errorf("%q has %q", content, changes)
		}
		for _, change := range changes {
			if !strings.Contains(change, "=") || strings.Contains(change, "\x00") {
				t.Errorf("%q has the change %q", content, change)
			}
		}
	})
}

func TestScanLimit(t *testing.T) {
	for s, want := range map[string]uint64{"": 0, "0": 0, "12": 12, "18446744073709551615": 1<<64 - 1, "18446744073709551617": 1} {
		if got, ok := scanLimit(s); !ok || got != want {
			t.Errorf("%q: %d, %v", s, got, ok)
		}
	}
	for _, s := range []string{"-", "=", "1k", " 1", "+1", "1=", "-1"} {
		if got, ok := scanLimit(s); ok {
			t.Errorf("%q: %d", s, got)
		}
	}
}

// A file of one leap second, and what is left of it, at every length.
func TestLeaps(t *testing.T) {
	file := ruleFile("UTC0")
	second := len(file)/2 - 2 // where the second header begins
	if string(file[second:second+4]) != tzMagic {
		second = strings.LastIndex(string(file), tzMagic)
	}
	withLeap := append([]byte{}, file[:second+tzHeader+10]...)
	withLeap[second+31] = 1
	withLeap = append(withLeap, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 1)
	withLeap = append(withLeap, "\nUTC0\n"...)
	if got := parseLeaps(withLeap); !slices.Equal(got, []leap{{100, 1}}) {
		t.Fatalf("leaps %v", got)
	}
	z := loadZone(
		func(name string) (string, bool) { return "/zone", name == "TZ" },
		func(string) ([]byte, error) { return withLeap, nil })
	for sec, want := range map[int64]string{99: "00:01:39+0", 100: "00:01:39+1", 101: "00:01:40+0"} {
		at, leap := z.local(sec)
		if got := at.Format(time.TimeOnly) + "+" + string(rune('0'+leap)); got != want {
			t.Errorf("second %d is %s, want %s", sec, got, want)
		}
	}
	for n := range withLeap {
		parseLeaps(withLeap[:n])
	}
}

func FuzzLeaps(f *testing.F) {
	f.Add(ruleFile("UTC0"))
	f.Fuzz(func(_ *testing.T, file []byte) { parseLeaps(file) })
}
