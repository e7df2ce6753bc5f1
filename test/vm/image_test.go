package vm_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"upkeep/test/harness"
)

// A tree is what a file system holds: paths, without a slash in front, and contents. What begins with #!
// is executable.
type tree map[string]content

type content struct {
	text string
	from string // a file of this machine whose content and mode it has
	link string // what it is a symbolic link to
	dir  bool
	node uint64 // a character device: 256 times its major number and its minor number
}

func text(lines ...string) content   { return content{text: strings.Join(lines, "\n") + "\n"} }
func script(lines ...string) content { return text(append([]string{"#!/bin/sh"}, lines...)...) }

// tools returns a tree with busybox and all commands of upkeep.
func tools(t *testing.T) tree {
	t.Helper()
	box := harness.Need(t, "busybox")[0]
	list, err := exec.Command(box, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	if out, code := harness.Run(t, "ldd", box); code == 0 && !strings.Contains(out, "not a dynamic") {
		harness.Skip(t, "busybox is not the static one:\n%s", out)
	}
	files := tree{"bin/busybox": {from: box}, "bin/upkeep": {from: harness.Bin(t, "upkeep")}}
	for _, name := range strings.Fields(string(list)) {
		if name != "busybox" {
			files["bin/"+name] = content{link: "busybox"}
		}
	}
	for _, name := range []string{"svc", "svstat", "svok", "multilog"} {
		files["bin/"+name] = content{link: "upkeep"}
	}
	return files
}

// with returns a tree that holds what is in both, and first what is in the second.
func (t tree) with(more tree) tree {
	both := tree{}
	for _, one := range []tree{t, more} {
		for name, c := range one {
			both[name] = c
		}
	}
	return both
}

// without returns a tree without some of its files.
func (t tree) without(names ...string) tree {
	rest := t.with(nil)
	for _, name := range names {
		delete(rest, name)
	}
	return rest
}

// complete adds the directories in which things are, and returns all names, each after its directory.
func (t tree) complete() (tree, []string) {
	full := t.with(nil)
	for name := range t {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, there := full[dir]; !there {
				full[dir] = content{dir: true}
			}
		}
	}
	var names []string
	for name := range full {
		names = append(names, name)
	}
	slices.Sort(names)
	return full, names
}

// initramfs writes a tree as a cpio archive in the format that the kernel reads ("newc").
func initramfs(t *testing.T, files tree) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "initramfs")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	full, names := files.complete()
	for i, n := range append(names, "TRAILER!!!") {
		c := full[n]
		mode, data := c.read(t)
		fmt.Fprintf(w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00", i+1, mode, 0, 0, 1, 0, len(data),
			0, 0, c.node>>8, c.node&0xff, len(n)+1, 0, n)
		pad(w, 110+len(n)+1)
		w.Write(data)
		pad(w, len(data))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return name
}

func pad(w *bufio.Writer, size int) { w.Write(make([]byte, -size&3)) }

// read returns the mode, as stat(2) has it, and the content.
func (c content) read(t *testing.T) (mode uint32, data []byte) {
	switch {
	case c.dir:
		return 0o040755, nil
	case c.link != "":
		return 0o120777, []byte(c.link)
	case c.node != 0:
		return 0o020666, nil
	case c.from != "":
		data, err := os.ReadFile(c.from)
		if err != nil {
			t.Fatal(err)
		}
		return 0o100755, data
	case strings.HasPrefix(c.text, "#!"):
		return 0o100755, []byte(c.text)
	}
	return 0o100644, []byte(c.text)
}

// writeTo makes the files of a tree below a directory of this machine.
func (t tree) writeTo(tb *testing.T, dir string) {
	tb.Helper()
	full, names := t.complete()
	for _, n := range names {
		mode, data := full[n].read(tb)
		to := filepath.Join(dir, n)
		var err error
		switch c := full[n]; {
		case c.dir:
			if err = os.Mkdir(to, 0o755); os.IsExist(err) {
				err = nil
			}
		case c.link != "":
			err = os.Symlink(c.link, to)
		default:
			err = os.WriteFile(to, data, os.FileMode(mode&0o777))
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// disk makes an ext4 file system of so many megabytes that holds what is in a directory. Nothing is
// mounted for that.
func disk(t *testing.T, file, dir string, megabytes int) {
	t.Helper()
	harness.Need(t, "mkfs.ext4")
	mustRun(t, "mkfs.ext4", "-q", "-F", "-E", "root_owner=0:0", "-d", dir, file, fmt.Sprintf("%dM", megabytes))
}

func sha256Hex(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }
