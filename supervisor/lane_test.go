package supervisor

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLanesAreServedInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := &Pool{}
		gate := make(chan struct{})
		p.NewLane().Do(func() { <-gate })
		var got []int // one worker at a time: no lock
		for i := range 100 {
			p.NewLane().Do(func() { got = append(got, i) })
		}
		close(gate)
		synctest.Wait()
		if len(got) != 100 || !slices.IsSorted(got) {
			t.Errorf("run in the order %v", got)
		}
		if n := p.Steps(); n != 101 {
			t.Errorf("%d steps, want 101", n)
		}
	})
}

// TestStuckStep: who is stuck keeps its own lane, and no other.
func TestStuckStep(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := &Pool{}
		begun := time.Now()
		var hung []*Lane
		gate := make(chan struct{})
		ended := make([][]int, 10)
		for i := range 10 {
			l := p.NewLane()
			hung = append(hung, l)
			for n := range 3 {
				l.Do(func() {
					<-gate
					ended[i] = append(ended[i], n)
				})
			}
		}
		done := make(chan time.Duration, 1)
		p.NewLane().Do(func() { done <- time.Since(begun) })
		if waited := <-done; waited > 20*2*stuckAfter {
			t.Errorf("a lane waited for %v, because of ten others", waited)
		}
		// Who comes when all is stuck does not wait at all.
		time.Sleep(time.Minute)
		now := time.Now()
		p.NewLane().Do(func() { done <- time.Since(now) })
		if waited := <-done; waited > stuckAfter {
			t.Errorf("a lane waited for %v, though it was the only one", waited)
		}
		synctest.Wait()
		if slices.ContainsFunc(ended, func(steps []int) bool { return steps != nil }) {
			t.Errorf("steps came before those that they were to follow: %v", ended)
		}
		hung[3].Do(func() { ended[3] = append(ended[3], 3) })
		close(gate)
		synctest.Wait()
		for i, steps := range ended {
			if want := []int{0, 1, 2, 3}[:len(steps)]; len(steps) < 3 || !slices.Equal(steps, want) {
				t.Errorf("lane %d ran %v", i, steps)
			}
		}
		if n := p.Steps(); n != 33 {
			t.Errorf("%d steps, want 33", n)
		}
		// That no worker is left is what synctest.Test itself looks for.
	})
}

// TestSlowSteps: each takes just long enough to be thought stuck.
func TestSlowSteps(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := &Pool{}
		var all sync.WaitGroup
		got := make([][]int, 20)
		for i := range got {
			l := p.NewLane()
			for n := range 5 {
				all.Add(1)
				l.Do(func() {
					time.Sleep(stuckAfter + time.Duration(n-2)*time.Millisecond)
					got[i] = append(got[i], n)
					all.Done()
				})
			}
		}
		all.Wait()
		for i, steps := range got {
			if !slices.Equal(steps, []int{0, 1, 2, 3, 4}) {
				t.Errorf("lane %d ran %v", i, steps)
			}
		}
	})
}

func TestStatusStepsAreMerged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := &Pool{}
		l := p.NewLane()
		gate := make(chan struct{})
		var got []string // the lane's
		say := func(s string) func() { return func() { got = append(got, s) } }
		l.Do(func() { <-gate })
		l.DoStatus(say("a"))
		l.DoStatus(say("b"))
		l.Do(say("step"))
		l.DoStatus(say("c"))
		l.DoStatus(say("d"))
		l.DoStatus(say("e"))
		close(gate)
		synctest.Wait()
		if want := []string{"b", "step", "e"}; !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
		l.DoStatus(say("f"))
		synctest.Wait()
		if got[len(got)-1] != "f" {
			t.Errorf("a status was merged with one that was written already: %q", got)
		}
	})
}

// TestStatusesWait while services are started, but neither for what is stuck nor for ever, and not where something
// waits for them.
func TestStatusesWait(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := &Pool{}
		begun := time.Now()
		var said, started, urgent time.Duration
		const step, steps = 10 * time.Millisecond, 200
		for range steps {
			p.NewLane().DoStart(func() { time.Sleep(step) })
		}
		p.NewLane().DoStatus(func() { said = time.Since(begun) })
		l := p.NewLane()
		l.DoStatus(func() { urgent = time.Since(begun) })
		l.DoStart(func() { started = time.Since(begun) })
		time.Sleep(time.Minute)
		synctest.Wait()
		if urgent != 0 || started != steps*step {
			t.Errorf("what a start waits for came after %v, and the start after %v", urgent, started)
		}
		if said < statusPatience || said > statusPatience+2*stuckAfter {
			t.Errorf("a status waited for %v", said)
		}
		begun = time.Now()
		p.NewLane().DoStart(func() { time.Sleep(step) })
		p.NewLane().DoStatus(func() { said = time.Since(begun) })
		time.Sleep(time.Minute)
		synctest.Wait()
		if said != step {
			t.Errorf("a status waited for %v, and the start for %v", said, step)
		}
		begun = time.Now()
		p.NewLane().Do(func() { time.Sleep(time.Minute) })
		p.NewLane().DoStatus(func() { said = time.Since(begun) })
		time.Sleep(time.Minute)
		synctest.Wait()
		if said > 2*stuckAfter {
			t.Errorf("a status waited for %v where a step is stuck", said)
		}
		begun = time.Now()
		p.NewLane().DoStart(func() { time.Sleep(stuckAfter - step) })
		p.NewLane().DoStart(func() { time.Sleep(time.Minute) })
		p.NewLane().DoStatus(func() { said = time.Since(begun) })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if said > 2*stuckAfter {
			t.Errorf("a status waited for %v where a later step is stuck", said)
		}
	})
}

// TestHasten: a status that somebody is to read is written at once, whatever else is to be done.
func TestHasten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := &Pool{}
		const step = 10 * time.Millisecond
		l := p.NewLane()
		hastened := func(did *[]string) bool { return l.Hasten(func() { *did = append(*did, "then") }) }
		var did []string
		if hastened(&did) {
			t.Error("there was a status where none was")
		}
		for _, behind := range []bool{false, true} { // the status comes behind another step
			did = nil
			begun := time.Now()
			for range 20 {
				p.NewLane().DoStart(func() { time.Sleep(step) })
			}
			if behind {
				l.Do(func() { time.Sleep(step); did = append(did, "step") })
			}
			l.DoStatus(func() { did = append(did, "status") })
			if !hastened(&did) {
				t.Error("there was no status")
			}
			took := time.Duration(0)
			l.Do(func() { took = time.Since(begun) })
			time.Sleep(time.Minute)
			synctest.Wait()
			want := []string{"status", "then"}
			if behind {
				want = append([]string{"step"}, want...)
			}
			if !slices.Equal(did, want) || took > 2*step {
				t.Errorf("%v were done after %v, want %v", did, took, want)
			}
		}
	})
}

// TestRecords are written while others are started, and so is a status that comes before or after them.
func TestRecords(t *testing.T) {
	for _, kinds := range []string{"r", "sr", "rs"} {
		for _, idle := range []bool{false, true} { // all of them wait until the lane gets on
			inBubble(t, func(t *testing.T) {
				p := &Pool{}
				for range 20 {
					p.NewLane().DoStart(func() { time.Sleep(10 * time.Millisecond) })
				}
				l := p.NewLane()
				gate := make(chan struct{})
				if !idle {
					l.Do(func() { <-gate })
				}
				begun, wrote := time.Now(), time.Duration(-1)
				last := 0
				urgent := strings.IndexByte(kinds, 'r')
				for i, kind := range kinds {
					queue := l.DoStatus
					if kind == 'r' {
						queue = l.DoRecord
					}
					queue(func() {
						if last = i; i >= urgent && wrote < 0 {
							wrote = time.Since(begun)
						}
					})
				}
				close(gate)
				time.Sleep(time.Minute)
				synctest.Wait()
				if last != len(kinds)-1 || wrote != 0 {
					t.Errorf("%s, idle %v: written after %v, and last was %d", kinds, idle, wrote, last)
				}
			})
		}
	}
}

// TestSlowFiles: services whose files take long, at several places at a time, are started in order all the same.
func TestSlowFiles(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := &Pool{}
		begun := time.Now()
		const each, lanes = 10 * time.Millisecond, 100
		var order []int
		var took time.Duration
		for i := range lanes {
			l := p.NewLane()
			l.Do(func() {
				time.Sleep(each - time.Duration(i%3)*time.Millisecond)
				l.DoStart(func() {
					l.Await()
					order = append(order, i)
					took = time.Since(begun)
				})
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(order) != lanes || !slices.IsSorted(order) {
			t.Errorf("started in the order %v", order)
		}
		if took > lanes*each*3/4 {
			t.Errorf("all were started after %v", took)
		}
	})
}

// TestManyLanesUnderFire has real time and the race detector look for steps of a lane that overlap.
func TestManyLanesUnderFire(t *testing.T) {
	t.Parallel()
	const lanes, steps = 40, 250
	p := &Pool{}
	var feeding, running sync.WaitGroup
	got := make([][]int, lanes) // guarded by the lanes' promise alone
	var inside [lanes]atomic.Int32
	running.Add(lanes * steps)
	for i := range lanes {
		l := p.NewLane()
		feeding.Go(func() {
			for n := range steps {
				l.Do(func() {
					if inside[i].Add(1) != 1 {
						t.Errorf("two steps of lane %d at a time", i)
					}
					if n == i && i%10 == 0 {
						time.Sleep(stuckAfter + time.Millisecond)
					}
					got[i] = append(got[i], n)
					inside[i].Add(-1)
					running.Done()
				})
			}
		})
	}
	feeding.Wait()
	running.Wait()
	for i, list := range got {
		if len(list) != steps || !slices.IsSorted(list) {
			t.Errorf("lane %d ran %d steps, sorted %v", i, len(list), slices.IsSorted(list))
		}
	}
	if n := p.Steps(); n != lanes*steps {
		t.Errorf("%d steps, want %d", n, lanes*steps)
	}
}
