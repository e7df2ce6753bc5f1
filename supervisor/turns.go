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

// turnPatience is how long a start waits for the one before. Long before that it has forked, unless it hangs.
const turnPatience = 5 * time.Millisecond

// next gives the next turn. The Pool's lock is held.
func (t *turns) next() uint64 {
	t.given++
	return t.given
}

// await returns when the turn before this one is taken, and takes this one.
func (t *turns) await(turn uint64) {
	if t.taken.Load() < turn-1 {
		for end := time.Now().Add(turnPatience); t.taken.Load() < turn-1 && time.Now().Before(end); {
			unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // to a thread that is about to fork
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
