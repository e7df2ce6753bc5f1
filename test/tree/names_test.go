package tree_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestRename: a renamed entry keeps its process and its group, and who gets its name gets another group.
func TestRename(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.service("web", leader, "notes/escapee", polite, "log/run", sh("exec cat >/dev/null"))
	h.open()
	s.says("up")
	pid, group := s.up(), s.group()
	renamed := filepath.Join(h.root, "old")
	if err := os.Rename(s.dir, renamed); err != nil {
		t.Fatal(err)
	}
	s.dir = renamed
	again := h.service("web", leader, "notes/escapee", polite, "log/run", sh("exec cat >/dev/null"))
	again.says("up")
	if s.up() != pid || s.group() != group || itsGroup(pid) != group {
		t.Errorf("it was %d in %s, and is %d in %s", pid, group, s.up(), s.group())
	}
	other := again.group()
	if other == group || itsGroup(again.up()) != other {
		t.Errorf("the groups are %s and %s", group, other)
	}
	again.svc("d")
	again.says("up", "leader", "escapee")
	lives(t, pid, s.pid("escaped"))
	os.Remove(filepath.Join(again.notes, "escaped"))
	again.svc("u")
	again.says("up", "leader", "escapee", "up")
	s.svc("d")
	s.says("up", "leader", "escapee")
	lives(t, again.up(), again.pid("escaped"))
	h.ends(syscall.SIGTERM, slack)
}

// itsGroup is where a process is in the unified hierarchy.
func itsGroup(pid int) string { return groupOf(strconv.Itoa(pid), "") }

// TestNames: whatever a service is called, it has a group, and no other has the same.
func TestNames(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	names := []string{"web", "two words", "Übermaß-日本", "cpu.max", "cgroup.procs", "memory", "supervisor", "_x", "__x", "x", "run", "log",
		"upkeep-x", "tasks", "back\\slash", "new\nline", "\x01", "not\xffutf8", "a.b.c", strings.Repeat("n", 255), strings.Repeat("n", 254) + "m",
		"_" + strings.Repeat("n", 254), strings.Repeat("\n", 100)}
	var list []*service
	for _, name := range names {
		list = append(list, h.service(name, leader, "notes/escapee", polite))
	}
	hidden := h.service(".dot", leader, "notes/escapee", polite)
	h.open()
	groups := make(map[string]string)
	for i, s := range list {
		s.says("up")
		group := itsGroup(s.up())
		if other, used := groups[group]; used {
			t.Errorf("%q and %q share %s", names[i], other, group)
		}
		groups[group] = names[i]
		if now := itsGroup(s.pid("escaped")); now != group {
			t.Errorf("%q: the leader is in %s, the rest in %s", names[i], group, now)
		}
		if filepath.Base(group) != "run" {
			t.Errorf("%q is in %s", names[i], group)
		}
		if told := s.group(); told != group && names[i] != "not\xffutf8" { // JSON has no such text
			t.Errorf("%q: svstat says %q, not %q", names[i], told, group)
		}
	}
	if hidden.note("said") != "" {
		t.Error("a hidden directory is a service")
	}
	for _, s := range list {
		s.svc("d")
	}
	for i, s := range list {
		s.says("up", "leader", "escapee")
		if t.Failed() {
			t.Fatalf("%q", names[i])
		}
	}
	h.ends(syscall.SIGTERM, slack)
}
