package conformance_test

import (
	"os"
	"path/filepath"
	"testing"

	"upkeep/test/harness"
)

// TestDownFile: "down" counts when a service is taken up, and never again.
func TestDownFile(t *testing.T) {
	each(t, []peer{daemontools, runit, upkeep, ourClients}, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		clock := h.script("clock", dying) // ticks once per second

		steady := h.service("steady", plain) // gets a down file while it runs
		removed := h.service("removed", plain)
		removed.touch("down")
		started := h.service("started", plain)
		started.touch("down")
		dangling := h.service("dangling", plain) // counts as absent
		if err := os.Symlink("nowhere", filepath.Join(dangling.dir, "down")); err != nil {
			t.Fatal(err)
		}
		folder := h.service("folder", plain) // counts whatever it is
		if err := os.Mkdir(filepath.Join(folder.dir, "down"), 0o755); err != nil {
			t.Fatal(err)
		}
		again := h.service("again", plain)
		h.open()

		steady.await("up/u 1")
		again.await("up/u 1")
		dangling.await("up/u 1")
		for _, s := range []*service{removed, started, folder} {
			s.await("down/d 0")
			s.checkSvstat()
		}
		removed.remove("down")
		steady.touch("down")
		started.svc("-u")
		started.await("up/u 1")
		started.checkSvstat() // normally down
		started.svc("-k")
		started.await("up/u 2")
		steady.svc("-t")
		steady.await("up/u 2 TERM")
		steady.checkSvstat()

		again.touch("down")
		again.svc("-d")
		again.await("down/d 1 TERM")
		ended := string(again.status()[:12])
		again.svc("-x") // is listed: is taken up again, and "down" is read
		harness.Eventually(t, "a new supervisor has come", func() bool {
			return again.supervised() && string(again.status()[:12]) != ended
		})
		again.await("down/d 1 TERM")

		now := clock.starts()
		harness.Eventually(t, "time passes", func() bool { return clock.starts() >= now+3 })
		removed.await("down/d 0") // the removal has started nothing
		removed.checkSvstat()     // normally up
		removed.svc("-u")
		removed.await("up/u 1")
		folder.await("down/d 0")
	})
}
