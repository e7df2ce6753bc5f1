//go:build failpoint

package supervisor

// failLetters: ! panics on the Host's goroutine, ? on the lane.
const failLetters = "!?"

func (s *Supervisor) fail(letter byte) {
	switch letter {
	case '!':
		panic("a letter asked for it")
	case '?':
		s.lane.Do(func() { panic("a letter asked for it") })
	}
}
