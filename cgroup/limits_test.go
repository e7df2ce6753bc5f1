package cgroup

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fake is a group on files that are like the kernel's, but take anything.
func fake(t *testing.T, controllers string, files ...string) *Group {
	t.Helper()
	base := t.TempDir()
	tree := &Tree{place: base, base: base, controllers: make(map[string]error)}
	write(t, base+"/cgroup.controllers", controllers)
	write(t, base+"/cgroup.subtree_control", controllers)
	write(t, base+"/web/cgroup.subtree_control", controllers)
	g := tree.Group("web", false)
	if _, err := g.Make(); err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		write(t, g.Path()+"/"+name, "")
	}
	return g
}

// content tells what was written to a limit since it was last asked.
func content(t *testing.T, g *Group, name string) string {
	t.Helper()
	text, err := os.ReadFile(g.Path() + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(g.Path()+"/"+name, 0); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLimitsFollowTheirFiles(t *testing.T) {
	g := fake(t, "cpu memory", "memory.max", "memory.high", "cpu.weight")
	dir := t.TempDir() + "/cgroup"
	apply := func() {
		t.Helper()
		if err := g.Limits(dir); err != nil {
			t.Fatal(err)
		}
	}
	want := func(name, text string) {
		t.Helper()
		if got := content(t, g, name); got != text {
			t.Errorf("%s was written %q, want %q", name, got, text)
		}
	}
	apply() // no directory
	want("memory.max", "")
	write(t, dir+"/memory.max", "512M\n")
	write(t, dir+"/cpu.weight", " 50 \n\n")
	for _, name := range []string{".memory.high.swp", "memory.high~", "#memory.high#"} {
		write(t, dir+"/"+name, "1")
	}
	apply()
	want("memory.max", "512M")
	want("cpu.weight", "50")
	want("memory.high", "")
	apply()
	want("memory.max", "")
	write(t, dir+"/memory.max", "256M")
	apply()
	want("memory.max", "256M")
	want("cpu.weight", "")
	os.Remove(dir + "/cpu.weight")
	apply()
	want("cpu.weight", "100")
	want("memory.max", "")
	os.RemoveAll(dir)
	apply()
	want("memory.max", "max")
	apply()
	want("memory.max", "")
}

// TestLimitsOfAnEarlierUpkeep: of a group that was there nobody knows its limits.
func TestLimitsOfAnEarlierUpkeep(t *testing.T) {
	g := fake(t, "memory pids", "memory.max", "pids.max")
	again := g.tree.Group("web", false)
	if _, err := again.Make(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir+"/pids.max", "10")
	if err := again.Limits(dir); err != nil {
		t.Fatal(err)
	}
	if got := content(t, g, "memory.max"); got != "max" {
		t.Errorf("memory.max was written %q", got)
	}
	if got := content(t, g, "pids.max"); got != "10" {
		t.Errorf("pids.max was written %q", got)
	}
}

func TestLimitsThatCannotBe(t *testing.T) {
	g := fake(t, "memory", "memory.max", "cgroup.procs", "cgroup.max.depth")
	dir := t.TempDir() + "/cgroup"
	for name, test := range map[string]struct {
		make func(path string) error
		want string
	}{
		"memory.max":             {file("\n"), "is empty"},
		"memory.high":            {file("1M"), "the kernel has no such limit"},
		"memory.low":             {file("1M\x00"), "holds a zero byte"},
		"memory.min":             {file(strings.Repeat("1", 4097)), "is too long"},
		"memory.swap.max":        {func(path string) error { return os.Mkdir(path, 0o755) }, "is not a regular file"},
		"memory.oom.group":       {func(path string) error { return unix.Mkfifo(path, 0o600) }, "is not a regular file"},
		"memory.peak":            {func(path string) error { return os.Symlink("nothing", path) }, "points nowhere"},
		"cpu.max":                {file("1"), "the cpu controller: not available in the unified hierarchy here"},
		"cgroup.procs":           {file("1"), "is not a limit; upkeep alone writes to it"},
		"cgroup.threads":         {file("1"), "is not a limit; upkeep alone writes to it"},
		"cgroup.subtree_control": {file("+cpu"), "is not a limit; upkeep alone writes to it"},
		"cgroup.kill":            {file("1"), "is not a limit; upkeep alone writes to it"},
		"cgroup.freeze":          {file("1"), "is not a limit; upkeep alone writes to it"},
		"cgroup.type":            {file("threaded"), "is not a limit; upkeep alone writes to it"},
		"README":                 {file("1"), "is not the name of a limit"},
		"memory.":                {file("1"), "is not the name of a limit"},
		"..max":                  {},
		"Mem\xff\n.max":          {file("1"), "is not the name of a limit"},
		"cgroup.max.depth":       {file("3"), ""},
	} {
		os.RemoveAll(dir)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if test.make == nil {
			test.make = file("1")
		}
		if err := test.make(dir + "/" + name); err != nil {
			t.Fatal(err)
		}
		got, want := "", test.want
		if err := g.Limits(dir); err != nil {
			got = err.Error()
		}
		if want != "" {
			want = "cgroup/" + name + ": " + want
		}
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	// Each of several is named.
	os.RemoveAll(dir)
	write(t, dir+"/memory.high", "1M")
	write(t, dir+"/README", "1")
	err := g.Limits(dir)
	if err == nil || strings.Count(err.Error(), "; ") != 1 || strings.Contains(err.Error(), "\n") {
		t.Errorf("two files that cannot be: %v", err)
	}
	if err := g.Limits(dir + "/README"); err == nil {
		t.Error("a file in the directory's place is no error")
	}
}

func file(text string) func(string) error {
	return func(path string) error { return os.WriteFile(path, []byte(text), 0o644) }
}
