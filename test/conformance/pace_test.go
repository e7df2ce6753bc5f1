package conformance_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"upkeep/test/harness"
)

// started is the time in the status.
func (s *service) started() time.Time {
	b := s.status()
	return time.Unix(int64(binary.BigEndian.Uint64(b)-4611686018427387914), int64(binary.BigEndian.Uint32(b[8:])))
}

// TestFirstSecond sends a letter as soon as a service has started. The original is deaf then; upkeep isn't,
// however long it takes on a busy machine, at least one time in many.
func TestFirstSecond(t *testing.T) {
	answers := map[string]bool{"daemontools": false, "upkeep": true} // diff("first-second")
	each(t, []peer{daemontools, upkeep}, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("web", plain)
		h.open()
		s.await("up/u 1")
		for try := range 20 {
			signals, starts, _ := s.heard()
			s.send("h")
			harness.Eventually(t, "HUP is heard", func() bool {
				now, _, _ := s.heard()
				return strings.Count(strings.Join(now, " "), "HUP") > strings.Count(strings.Join(signals, " "), "HUP")
			})
			info, err := os.Stat(filepath.Join(s.dir, "heard"))
			if err != nil {
				t.Fatal(err)
			}
			// What the kernel stamps on a file can lag behind by a tick.
			early := info.ModTime().Sub(s.started()) < 900*time.Millisecond
			if early && !answers[p.like] {
				t.Fatal("the letter was answered during the first second")
			}
			if early || !answers[p.like] && try == 2 {
				return
			}
			s.send("t")
			harness.Eventually(t, "the service starts again", func() bool { return s.starts() > starts && s.state() == "up/u" })
		}
		t.Error("no letter was answered during the first second")
	})
}
