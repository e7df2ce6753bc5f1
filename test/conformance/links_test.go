package conformance_test

import (
	"os"
	"testing"

	"upkeep/test/harness"
)

// TestSuperviseIsALinkBelowRun: Debian's packages for runit have such links, to directories that only
// runit's init makes.
func TestSuperviseIsALinkBelowRun(t *testing.T) {
	harness.NeedRoot(t)
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		top, err := os.MkdirTemp("/run", "conformance")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(top) })
		s := h.bare("web")
		s.become(plain)
		if err := os.Symlink(top+"/supervise/web", s.dir+"/supervise"); err != nil {
			t.Fatal(err)
		}
		supervise := h.start(p.supervise(t, s.dir))
		harness.Eventually(t, "it is supervised or not", func() bool { return s.supervised() || !supervise.Running() })
		got := "refused"
		if s.supervised() {
			got = "taken"
			s.send("dx")
			supervise.Wait()
		}
		want := expectation{"refused", but{"upkeep": {"taken", diff("run-links")}}}
		if got != want.on(p) {
			t.Errorf("it is %s, want %s: %s", got, want.on(p), h.said())
		}
	})
}
