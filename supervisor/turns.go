package supervisor

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// turns keep what several workers do at a time in its order. Each is given its turn when it is begun: a start takes
// it right before it forks, and what comes before it when it is done.
type turns struct {
	given uint64 // guarded by the Pool's lock
	taken atomic.Uint64
}

// Nobody waits for the one before for longer than a worker is given. Long before that it has got on,
// unless it hangs. At first one waits without sleeping, which is how long it takes.
const (
	turnPatience = stuckAfter * 4 / 5
	turnYields   = 1000
	turnNap      = 100 * time.Microsecond
)

// next gives the next turn. The Pool's lock is held.
func (t *turns) next() uint64 {
	t.given++
	return t.given
}

// await returns when the turn before this one is taken.
func (t *turns) await(turn uint64) {
	begun := time.Now()
	for try := 0; t.taken.Load() < turn-1 && time.Since(begun) < turnPatience; try++ {
		if try < turnYields {
			yield() // to a thread that is about to fork
		} else {
			time.Sleep(turnNap)
		}
	}
}

// yield lets other threads have the processor first.
func yield() { unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

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
func (l *Lane) Await() {
	t := &l.pool.crews[startStep].turns
	t.await(l.turn)
	t.took(l.turn)
}
