package daemon

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestMailIsDeliveredInOrder(t *testing.T) {
	m := newMailbox()
	const n = 1000
	var got []int
	for i := range n {
		m.post(func() { got = append(got, i) }) // before anybody runs it
	}
	m.post(func() {
		for i := range n {
			m.post(func() { got = append(got, n+i) }) // while it is run
		}
	})
	runUntil(m, func() bool { return len(got) == 2*n })
	if !slices.IsSorted(got) || len(got) != 2*n {
		t.Errorf("%d calls, in the order %v", len(got), got)
	}
}

// TestEachSendersMailIsInOrder: nothing is lost, doubled or overtaken, and no two calls overlap.
func TestEachSendersMailIsInOrder(t *testing.T) {
	m := newMailbox()
	const senders, each = 8, 2000
	got := make([][]int, senders) // the race detector sees whether two calls overlap
	left := senders * each
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := range each {
				m.post(func() { got[s] = append(got[s], i); left-- })
			}
		})
	}
	runUntil(m, func() bool { return left == 0 })
	sending.Wait()
	for s, list := range got {
		if len(list) != each || !slices.IsSorted(list) {
			t.Errorf("of sender %d %d calls, sorted %v", s, len(list), slices.IsSorted(list))
		}
	}
}

// TestNoWakeUpIsLost: each letter is answered before the next is sent, so one that is not noticed is the
// end of it.
func TestNoWakeUpIsLost(t *testing.T) {
	m := newMailbox()
	done := false
	ended := make(chan struct{})
	go func() { runUntil(m, func() bool { return done }); close(ended) }()
	answer := make(chan int)
	for i := range 20000 {
		m.post(func() { answer <- i })
		if got := <-answer; got != i {
			t.Fatalf("answer %d, want %d", got, i)
		}
	}
	m.post(func() { done = true })
	<-ended
}

// TestTheShortWay: it goes as far as it is open, and overtakes nothing.
func TestTheShortWay(t *testing.T) {
	m := newMailbox()
	var got []string
	say := func(s string) func() { return func() { got = append(got, s) } }
	short := func(s string, open bool) func() bool {
		return func() bool {
			if open {
				got = append(got, "short "+s)
			}
			return open
		}
	}
	m.postEnd(short("a", true), say("a"))
	m.postEnd(short("b", false), say("b"))
	m.postEnd(short("c", true), say("c"))
	m.runShort()
	select {
	case <-m.wake:
	default:
		t.Error("nobody is woken for the rest")
	}
	m.run()
	m.post(say("d"))
	m.postEnd(short("e", true), say("e"))
	<-m.wake
	m.runShort()
	<-m.wake
	m.run()
	if want := []string{"short a", "b", "c", "d", "e"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAnEmptyMailboxSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMailbox()
		done, calls := false, 0
		go runUntil(m, func() bool { calls++; return done })
		synctest.Wait()
		time.Sleep(time.Hour)
		m.post(func() {})
		m.post(func() {})
		synctest.Wait()
		if calls > 3 {
			t.Errorf("it woke up %d times for two letters", calls)
		}
		m.post(func() { done = true })
	})
}

// runUntil runs what is posted until done.
func runUntil(m *mailbox, done func() bool) {
	for !done() {
		<-m.wake
		m.run()
	}
}
