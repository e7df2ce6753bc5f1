package supervisor

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// turns keep starts that several workers do at a time in their order. Each is given its turn when it is
// begun, and takes it right before it forks.
type turns struct {
	given uint64 // guarded by the Pool's lock
	taken atomic.Uint64
}

// A start waits for the one before for less time than a worker is given. Long before that it has forked,
// unless it hangs. At first it waits without sleeping, which is how long it takes.
const (
	turnPatience = stuckAfter * 4 / 5
	turnAwake    = time.Millisecond
	turnNap      = 100 * time.Microsecond
)

// next gives the next turn. The Pool's lock is held.
func (t *turns) next() uint64 {
	t.given++
	return t.given
}

// await returns when the turn before this one is taken, and takes this one.
func (t *turns) await(turn uint64) {
	for begun := time.Now(); t.taken.Load() < turn-1 && time.Since(begun) < turnPatience; {
		if time.Since(begun) < turnAwake {
			unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // to a thread that is about to fork
		} else {
			time.Sleep(turnNap)
		}
	}
	t.took(turn)
}

// took says that this turn has been taken, or will not be.
func (t *turns) took(turn uint64) {
	for {
		taken := t.taken.Load()
		if taken >= turn || t.taken.CompareAndSwap(taken, turn) {
			return
		}
	}
}

// Await returns when the start before the present one is under way. It is called in a step that forks, right
// before it does.
func (l *Lane) Await() { l.pool.turns.await(l.turn) }
