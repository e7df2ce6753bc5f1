package daemon

import (
	"testing"

	"upkeep/fsstate"
)

// TestUnlisted: what a scan has not found is taken for removed, but not what it could not look at.
func TestUnlisted(t *testing.T) {
	m, err := newMachinery(Config{Program: "upkeep"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.host.Controls.Close()
	d := &daemon{machinery: m, entries: make(map[fsstate.ID]*entry)}
	d.register, d.scan = newRegister(d), newScanner(d)
	d.watch = newWatcher(d)
	defer d.watch.close()
	found, hung, gone := fsstate.ID{Ino: 1}, fsstate.ID{Ino: 2}, fsstate.ID{Ino: 3}
	for id, name := range map[fsstate.ID]string{found: "found", hung: "hung", gone: "gone"} {
		d.entries[id] = &entry{d: d, id: id, name: name, path: "/nonexistent/" + name, seen: 1}
	}
	d.entries[found].seen = 2
	d.scan.resolving["hung"] = true
	names := []string{"found", "hung"}
	d.unlisted(2, names)
	if d.entries[found] == nil || d.entries[hung] == nil {
		t.Error("what is listed was taken for removed")
	}
	if d.entries[gone] != nil {
		t.Error("what is not listed was kept")
	}
	if d.scan.timer != nil {
		d.scan.timer.Stop()
	}
}
