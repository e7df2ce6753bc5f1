package conformance_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"upkeep/test/harness"
)

// complaints are the lines on stderr that contain a text, each once, in order, with ROOT and SERVICES for
// the directories of the house.
func (h *house) complaints(about string) string {
	var lines []string
	said := strings.NewReplacer(h.root, "ROOT", filepath.Join(h.base, "services"), "SERVICES").Replace(h.said())
	for line := range strings.Lines(said) {
		line = strings.TrimSuffix(line, "\n")
		if strings.Contains(line, about) && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (h *house) put(name, content string) {
	h.t.Helper()
	harness.WriteFile(h.t, filepath.Join(h.root, name), content, 0o644)
}

func (h *house) link(target, name string) {
	h.t.Helper()
	if err := os.Symlink(target, filepath.Join(h.root, name)); err != nil {
		h.t.Fatal(err)
	}
}

// TestEntries puts everything into the root that somebody may put there.
func TestEntries(t *testing.T) {
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		var services []*service
		for _, name := range []string{"spaced  out", "Überwachung ☂", "tab\tand\nnewline", "-dash", "~", "cpu.max", strings.Repeat("x", 200)} {
			services = append(services, h.service(name, plain))
		}
		inside := h.at("root/inside") // a directory, not a link
		if err := os.Mkdir(inside.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		inside.become(plain)
		hidden := h.service(".hidden", plain)
		chain := h.bare("chain")
		chain.become(plain)
		h.link(chain.dir, ".first")
		h.link(".first", "second") // a link to a link
		h.link("loop", "loop")
		h.link("nowhere", "dangling")
		h.put("file", "not a directory")
		h.open()
		for _, s := range append(services, inside, chain) {
			s.await("up/u 1")
			s.checkSvstat()
		}
		for _, c := range []struct {
			about string
			said  expectation
		}{
			{"dangling", expectation{"svscan: warning: unable to stat dangling: file does not exist", but{
				"runit":  {"runsvdir ROOT: warning: unable to stat dangling: file does not exist", diff("runit-messages")},
				"upkeep": {"upkeep: warning: dangling: cannot stat ROOT/dangling: no such file or directory; looking again at each scan", diff("messages")}}}},
			{"loop", expectation{"svscan: warning: unable to stat loop: symbolic link loop", but{
				"runit":  {"runsvdir ROOT: warning: unable to stat loop: symbolic link loop", diff("runit-messages")},
				"upkeep": {"upkeep: warning: loop: cannot stat ROOT/loop: too many levels of symbolic links; looking again at each scan", diff("messages")}}}},
			{"file:", same("")},
			{"hidden", same("")},
		} {
			h.awaitComplaint(c.about, c.said.on(p))
		}
		if hidden.supervised() {
			t.Error("a name with a dot is supervised")
		}
	})
}

func (h *house) awaitComplaint(about, want string) {
	h.t.Helper()
	h.at("").awaitAny(func() string { return h.complaints(about) }, want)
}

// TestTwoNames: two links to one directory are one service, for as long as one of them stays.
func TestTwoNames(t *testing.T) {
	each(t, []peer{daemontools, upkeep}, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("castor", plain)
		h.link(s.dir, "pollux")
		h.open()
		s.await("up/u 1")
		late := h.service("late", plain)
		late.await("up/u 1")
		h.unlist(s)
		latest := h.service("latest", plain)
		latest.await("up/u 1")
		s.svc("-t")
		s.await("up/u 2 TERM")
		s.svc("-dx") // it is still listed by its other name
		s.await("up/u 3 TERM TERM")
		if said := h.said(); strings.Contains(said, "lock") {
			t.Errorf("there was a second supervisor: %s", said)
		}
	})
}

// TestRename: a service keeps running when its entry gets another name.
func TestRename(t *testing.T) {
	each(t, []peer{daemontools, upkeep}, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.at("root/before")
		if err := os.Mkdir(s.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		s.become(plain)
		h.open()
		s.await("up/u 1")
		after := h.at("root/after")
		if err := os.Rename(s.dir, after.dir); err != nil {
			t.Fatal(err)
		}
		late := h.service("late", plain)
		late.await("up/u 1")
		after.await("up/u 1")
		after.svc("-t")
		after.await("up/u 2 TERM")
		if said := h.said(); strings.Contains(said, "lock") {
			t.Errorf("there was a second supervisor: %s", said)
		}
	})
}

// TestNewEntries appear while the daemon runs, by link and by rename, and in a root that was empty.
func TestNewEntries(t *testing.T) {
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		h.open()
		linked := h.service("linked", plain)
		made := h.bare("made")
		made.become(plain)
		renamed := h.at("root/renamed")
		if err := os.Rename(made.dir, renamed.dir); err != nil {
			t.Fatal(err)
		}
		hidden := h.at("root/.hidden")
		if err := os.Mkdir(hidden.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		hidden.become(plain)
		linked.await("up/u 1")
		renamed.await("up/u 1")
		shown := h.at("root/shown")
		if err := os.Rename(hidden.dir, shown.dir); err != nil {
			t.Fatal(err)
		}
		shown.await("up/u 1")
	})
}

// TestUnreadableService runs as a user who may not enter a service's directory.
func TestUnreadableService(t *testing.T) {
	harness.NeedRoot(t)
	setpriv := harness.Need(t, "setpriv")[0]
	want := expectation{"svscan: warning: unable to stat locked/log: access denied", but{
		"runit":  {"runsv locked: fatal: unable to change to directory: access denied", diff("runit-messages")},
		"upkeep": {"upkeep: warning: locked: cannot chdir to ROOT/locked: permission denied; trying again every 5s", diff("messages")}}}
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		h.wrap = []string{setpriv, "--reuid=nobody", "--regid=nogroup", "--clear-groups"}
		const sleeper = "#!/bin/sh\necho start $$ >>heard\nexec sleep 900\n"
		locked, open := h.script("locked", sleeper), h.script("open", sleeper)
		if out, err := exec.Command("chown", "-R", "nobody:nogroup", h.base).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := os.Chmod(locked.dir, 0); err != nil {
			t.Fatal(err)
		}
		h.open()
		open.await("up/u 1")
		h.awaitComplaint(" locked", want.on(p))
		if err := os.Chmod(locked.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		locked.await("up/u 1") // what was wrong is mended
	})
}

// TestStartOrder: services are started in the ASCII order of their names. svscan takes them as the file
// system has them, which is nothing to compare with: diff("start-order").
func TestStartOrder(t *testing.T) {
	each(t, []peer{upkeep}, func(t *testing.T, p peer) {
		var order []string
		for range 5 { // pids begin anew now and then, and on a busy machine who is about to fork may be held up
			if order = startOrder(t, p); slices.IsSorted(order) {
				return
			}
		}
		t.Errorf("started in the order %q", order)
	})
}

// startOrder starts services and returns their names in the order of their pids.
func startOrder(t *testing.T, p peer) (order []string) {
	h := newHouse(t, p)
	defer h.vacate()
	names := []string{"0", "10", "9", "A", "Z", "_", "a", "aa", "b", "z", "Ä", "é"}
	var services []*service
	for i := range names {
		services = append(services, h.script(names[(i*5)%len(names)], "#!/bin/sh\necho start $$ >>heard\nexec sleep 900\n"))
	}
	h.open()
	for _, s := range services {
		s.await("up/u 1")
	}
	slices.SortFunc(services, func(a, b *service) int { return a.pid() - b.pid() })
	for _, s := range services {
		order = append(order, s.name)
	}
	return order
}
