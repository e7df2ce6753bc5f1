package supervisor

import (
	"testing"
	"time"

	"upkeep/fsstate"
)

// FuzzLetters sends whatever bytes a client may write to a service in the course of its life: every step
// must be lawful, and bytes that mean nothing must change nothing.
func FuzzLetters(f *testing.F) {
	f.Add([]byte("dx"), uint8(Up))
	f.Add([]byte("ldLu+t=k\n\x00\xff"), uint8(Waiting))
	f.Fuzz(func(t *testing.T, batch []byte, phase uint8) {
		s := State{Phase: Phase(phase % uint8(phases)), Want: fsstate.WantUp}
		meaning := make(map[byte]bool)
		for _, c := range known(append([]byte(nil), batch...)) {
			meaning[c] = true
		}
		for i, c := range batch {
			e := Event{Kind: Letter, Letter: c, Since: time.Duration(i) * 100 * time.Millisecond}
			after, actions := Next(s, e)
			if err := lawful(s, e, after, actions); err != nil {
				t.Fatalf("%+v, %q: %v", s, c, err)
			}
			if !meaning[c] && s.Phase != Starting && (after != s || len(actions) > 0) {
				t.Fatalf("%+v: %q, which means nothing, led to %+v %+v", s, c, after, actions)
			}
			// The world answers what was asked of it.
			switch s = after; s.Phase {
			case Starting:
				s, _ = Next(s, Event{Kind: Started})
			case Stopping:
				s, _ = Next(s, Event{Kind: Exited, Since: time.Duration(c) * 10 * time.Millisecond})
			}
		}
	})
}
