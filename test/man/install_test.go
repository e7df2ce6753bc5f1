package man_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"upkeep/test/harness"
)

// program makes a copy of the program in a directory of its own.
func program(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(harness.Bin(t, "upkeep"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(dir, "upkeep")
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if closed := to.Close(); err == nil {
		err = closed
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func mustInstall(t *testing.T, self, dir string) {
	t.Helper()
	if out, code := harness.Run(t, self, "install", dir); code != 0 || out != "" {
		t.Fatalf("exit code %d\n%s", code, out)
	}
}

// links checks that dir holds a link to target for every command, and that one of them works.
func links(t *testing.T, dir, target string, names []string) {
	t.Helper()
	for _, name := range names {
		if got, err := os.Readlink(filepath.Join(dir, name)); err != nil || got != target {
			t.Errorf("%s is a link to %q, %v; want %q", name, got, err, target)
		}
	}
	if _, code := harness.Run(t, filepath.Join(dir, "svok"), t.TempDir()); code != 100 {
		t.Errorf("svok of what is no service: exit code %d", code)
	}
}

func without(names []string, name string) (rest []string) {
	for _, n := range names {
		if n != name {
			rest = append(rest, n)
		}
	}
	return rest
}

func TestInstallBesideTheProgram(t *testing.T) {
	self := program(t)
	dir := filepath.Dir(self)
	mustInstall(t, self, dir)
	links(t, dir, "upkeep", without(commands(t), "upkeep"))
	if st, err := os.Lstat(self); err != nil || !st.Mode().IsRegular() {
		t.Errorf("the program itself is %v, %v", st, err)
	}
	mustInstall(t, filepath.Join(dir, "upkeep"), dir) // again
}

func TestInstallElsewhere(t *testing.T) {
	self, dir := program(t), t.TempDir()
	mustInstall(t, self, dir)
	links(t, dir, self, commands(t))
	// By a link: the links still point to the program.
	if err := os.Remove(filepath.Join(dir, "svc")); err != nil {
		t.Fatal(err)
	}
	mustInstall(t, filepath.Join(dir, "upkeep"), dir)
	links(t, dir, self, commands(t))
}

func TestInstallLeavesLinksToTheProgram(t *testing.T) {
	self, dir := program(t), t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "mine")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("mine", filepath.Join(dir, "svc")); err != nil {
		t.Fatal(err)
	}
	mustInstall(t, self, dir)
	links(t, dir, "mine", []string{"svc"})
	links(t, dir, self, without(commands(t), "svc"))
}

func TestInstallOverwritesNothing(t *testing.T) {
	self, dir := program(t), t.TempDir()
	harness.WriteFile(t, filepath.Join(dir, "svc"), "mine\n", 0o644)
	if err := os.Symlink("nowhere", filepath.Join(dir, "svok")); err != nil {
		t.Fatal(err)
	}
	out, code := harness.Run(t, self, "install", dir)
	want := "upkeep: fatal: " + dir + "/svc is in the way: it is no link to " + self + "\n" +
		"upkeep: fatal: " + dir + "/svok is in the way: it is no link to " + self + "\n"
	if code != 111 || out != want {
		t.Errorf("exit code %d\n%s", code, out)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("there are %v, %v", entries, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "svc")); err != nil || string(text) != "mine\n" {
		t.Errorf("svc holds %q, %v", text, err)
	}
	if target, err := os.Readlink(filepath.Join(dir, "svok")); err != nil || target != "nowhere" {
		t.Errorf("svok is a link to %q, %v", target, err)
	}
}

func TestInstallWithoutADirectory(t *testing.T) {
	self, dir := program(t), t.TempDir()
	missing := filepath.Join(dir, "missing")
	out, code := harness.Run(t, self, "install", missing)
	if want := "upkeep: fatal: cannot make links in " + missing + ": no such file or directory\n"; code != 111 || out != want {
		t.Errorf("exit code %d, %q; want %q", code, out, want)
	}
	if _, err := os.Lstat(missing); err == nil {
		t.Error("it was made")
	}
	harness.WriteFile(t, filepath.Join(dir, "file"), "", 0o644)
	out, code = harness.Run(t, self, "install", filepath.Join(dir, "file"))
	if code != 111 || !strings.HasSuffix(out, "/file: not a directory\n") {
		t.Errorf("a file: exit code %d, %q", code, out)
	}
	for _, args := range [][]string{{"install"}, {"install", dir, dir}} {
		out, code := harness.Run(t, self, args...)
		if code != 100 || out != "upkeep: usage: upkeep install DIR\n" {
			t.Errorf("%q: exit code %d, %q", args, code, out)
		}
	}
}
