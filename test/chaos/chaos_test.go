// Package chaos_test lets a daemon suffer at random, and checks after each round what must hold.
package chaos_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

var (
	rounds = flag.Int("rounds", 1000, "how many `rounds` there are, over all roots")
	seed   = flag.Uint64("seed", 1, "of the random numbers")
)

func TestMain(m *testing.M) { rig.Apart(m, nil) }

const (
	roots    = 4  // side by side
	services = 8  // in each
	fullEach = 10 // rounds between two whole checks
)

func TestChaos(t *testing.T) {
	for i := range roots {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, i)
			defer func() { // before the daemon is ended
				if t.Failed() {
					w.explain()
					t.Logf("repeat it with -seed=%d -rounds=%d; what was done last: %q", *seed, *rounds, w.did[max(0, len(w.did)-40):])
				}
			}()
			for n := range *rounds / roots {
				for range 1 + w.rand.IntN(3) {
					w.suffer()
				}
				w.holds()
				if n%fullEach == 0 {
					w.holdsAll()
				}
			}
			w.holdsAll()
			w.end()
		})
	}
}

// suffer does one thing at random. What a letter asks for is the oracle's from then on.
func (w *world) suffer() {
	s := w.list[w.rand.IntN(len(w.list))]
	switch n := w.rand.IntN(20); {
	case n < 3:
		w.do("kill", nil)
		w.kill()
	case n < 5:
		how := []string{"upgrade", "USR1"}[w.rand.IntN(2)]
		w.do(how, nil)
		w.upgrade(how)
	case n < 8:
		w.do("kill service", s)
		s.killed()
	case n < 10:
		if l := w.list[w.rand.IntN(logged)]; l.present {
			sig := []unix.Signal{unix.SIGTERM, unix.SIGKILL}[w.rand.IntN(2)]
			w.do(fmt.Sprint("logger ", sig), l)
			l.endLogger(sig)
		}
	case n < 17:
		s.letter("udotpc"[w.rand.IntN(6)])
	case n < 19:
		if !s.logs() {
			s.come(!s.present)
		}
	default:
		w.fill(!w.full)
	}
}

func newWorld(t *testing.T, i int) *world {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, top: top, root: filepath.Join(top, harness.UniqueName("chaos")),
		number: i, rand: rand.New(rand.NewPCG(*seed, uint64(i))),
		upkeep: harness.Bin(t, "upkeep"),
	}
	w.small()
	for n := range services {
		w.add(n)
	}
	w.open()
	w.holdsAll()
	return w
}
