package supervisor

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func never() { panic("relieved, though it was not stuck") }

func TestWorkRunsWhatIsHeld(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := &Pool{}
		l := p.NewLane()
		var got []string
		say := func(s string) func() { return func() { got = append(got, s) } }
		p.Hold()
		l.DoQuickStart(say("start"))
		l.Do(say("file"))
		synctest.Wait()
		if got != nil {
			t.Errorf("%q ran while it was held", got)
		}
		var working atomic.Bool
		working.Store(true)
		l2 := p.NewLane()
		l2.DoQuickStart(func() {
			if !working.Load() {
				t.Error("a start ran on another goroutine")
			}
		})
		l2.Do(func() {
			for working.Load() { // the lender runs nothing but starts
				time.Sleep(time.Millisecond)
			}
		})
		if p.Work(never) {
			t.Error("relieved")
		}
		working.Store(false)
		synctest.Wait()
		if want := []string{"start", "file"}; !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
		p.NewLane().DoQuickStart(say("free")) // is held no longer
		synctest.Wait()
		if got[len(got)-1] != "free" {
			t.Error("a start is held after Work")
		}
		if p.Work(never) {
			t.Error("relieved without work")
		}
	})
}

// TestWorkLeavesTheRest: many starts, and those that are not for it, are a worker's.
func TestWorkLeavesTheRest(t *testing.T) {
	for name, queue := range map[string]func(p *Pool, start func(i int) func()){
		"many": func(p *Pool, start func(i int) func()) {
			for i := range lentSteps + 1 {
				p.NewLane().DoQuickStart(start(i))
			}
		},
		"others": func(p *Pool, start func(i int) func()) { p.NewLane().DoStart(start(0)) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p := &Pool{}
				var got []int
				gate := make(chan struct{})
				p.Hold()
				queue(p, func(i int) func() { return func() { <-gate; got = append(got, i) } })
				if p.Work(never) {
					t.Error("relieved")
				}
				close(gate)
				synctest.Wait()
				if len(got) == 0 || !slices.IsSorted(got) {
					t.Errorf("ran %v", got)
				}
			})
		})
	}
}

// TestStuckLender: its lane waits for it; nothing else does.
func TestStuckLender(t *testing.T) {
	for _, early := range []bool{true, false} { // somebody waits when it is found stuck
		inBubble(t, func(t *testing.T) {
			p := &Pool{}
			gate, relieved := make(chan struct{}), make(chan struct{})
			var got []string
			l := p.NewLane()
			p.Hold()
			l.DoQuickStart(func() { <-gate; got = append(got, "stuck") })
			l.Do(func() { got = append(got, "after it") })
			begun := time.Now()
			result := make(chan bool, 1)
			go func() { result <- p.Work(func() { close(relieved) }) }()
			synctest.Wait()
			ran := make(chan struct{})
			other := func() { p.NewLane().DoQuickStart(func() { close(ran) }) }
			if early {
				other()
			}
			<-relieved
			if !early {
				other()
			}
			<-ran
			synctest.Wait() // who ran it has left
			if d := time.Since(begun); d > 2*stuckAfter {
				t.Errorf("relieved after %v", d)
			}
			p.Hold() // by the relief
			again := false
			p.NewLane().DoQuickStart(func() { again = true })
			if p.Work(never) || !again {
				t.Error("the relief cannot work")
			}
			close(gate)
			if !<-result {
				t.Error("who was stuck does not learn that it was relieved")
			}
			synctest.Wait()
			if want := []string{"stuck", "after it"}; !slices.Equal(got, want) {
				t.Errorf("ran %q, want %q", got, want)
			}
		})
	}
}

// TestWorkUnderFire has real time and the race detector look for steps that are lost or overlap.
func TestWorkUnderFire(t *testing.T) {
	t.Parallel()
	const lanes, rounds = 20, 300
	p := &Pool{}
	var left, lending sync.WaitGroup
	left.Add(2 * lanes * rounds)
	got := make([]int, lanes) // guarded by the lanes' promise alone
	quit := make(chan struct{})
	var lend func()
	lend = func() {
		lending.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				p.Hold()
				if p.Work(lend) {
					return
				}
			}
		})
	}
	lend()
	for i := range lanes {
		l := p.NewLane()
		go func() {
			for n := range rounds {
				l.DoQuickStart(func() {
					if n == 10*i {
						time.Sleep(stuckAfter + time.Millisecond)
					}
					got[i]++
					left.Done()
				})
				l.Do(func() { got[i]++; left.Done() })
				time.Sleep(time.Microsecond)
			}
		}()
	}
	left.Wait()
	close(quit)
	lending.Wait()
	for i, n := range got {
		if n != 2*rounds {
			t.Errorf("lane %d ran %d steps", i, n)
		}
	}
}
