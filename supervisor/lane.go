package supervisor

import (
	"sync"
	"time"
)

// stuckAfter is how long a step may keep a worker before another one takes its place.
const stuckAfter = 20 * time.Millisecond

// A Pool runs the steps of all Lanes. One worker at a time does so, so that services are started in the
// order in which they were asked to, and a thousand of them need one thread. A worker that is stuck, on
// a file system that does not answer, is left to itself and the next one goes on. There is no worker
// when there is nothing to do.
type Pool struct {
	mu      sync.Mutex
	queue   []*Lane
	current *worker // the one that takes the next Lane; nil when there is none
	watch   *time.Timer
	steps   uint64 // that were run
}

// Steps tells how many steps were run so far.
func (p *Pool) Steps() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.steps
}

type worker struct {
	since time.Time // when its present step was begun
}

// A Lane runs the steps of one service, one at a time and in order.
type Lane struct {
	pool  *Pool
	steps []step // guarded by pool.mu
	busy  bool   // a worker has it, or it is in the queue
}

type step struct {
	run  func()
	kind stepKind
}

type stepKind uint8

const (
	anyStep stepKind = iota
	statusStep
)

// NewLane returns an empty Lane.
func (p *Pool) NewLane() *Lane { return &Lane{pool: p} }

// Do queues a step.
func (l *Lane) Do(run func()) { l.add(step{run: run}) }

// DoStatus queues a step that makes an earlier one of its kind pointless if nothing came between.
func (l *Lane) DoStatus(run func()) { l.add(step{run: run, kind: statusStep}) }

func (l *Lane) add(s step) {
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(l.steps); s.kind == statusStep && n > 0 && l.steps[n-1].kind == statusStep {
		l.steps[n-1] = s
		return
	}
	l.steps = append(l.steps, s)
	if l.busy {
		return
	}
	l.busy = true
	p.queue = append(p.queue, l)
	if p.current == nil || p.current.stuck() {
		p.hire()
	} else {
		p.keepWatch()
	}
}

func (w *worker) stuck() bool { return time.Since(w.since) >= stuckAfter }

// hire makes a worker the current one. The lock is held.
func (p *Pool) hire() {
	w := &worker{since: time.Now()}
	p.current = w
	go p.work(w)
	if len(p.queue) > 1 {
		p.keepWatch()
	}
}

// keepWatch sees to it that somebody looks whether the current worker is stuck. The lock is held.
func (p *Pool) keepWatch() {
	if p.watch == nil {
		p.watch = time.AfterFunc(stuckAfter, p.inspect)
	}
}

func (p *Pool) inspect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watch = nil
	if p.current == nil || len(p.queue) == 0 {
		return
	}
	if p.current.stuck() {
		p.hire()
	}
	p.keepWatch()
}

// work runs steps until there are none, or until another worker was hired in its place.
func (p *Pool) work(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.current == w {
		if len(p.queue) == 0 {
			p.current = nil
			p.queue = nil
			return
		}
		l := p.queue[0]
		p.queue = p.queue[1:]
		p.runAll(w, l)
	}
}

// runAll runs the steps of a Lane until it has none. The lock is held but for the steps themselves.
func (p *Pool) runAll(w *worker, l *Lane) {
	for len(l.steps) > 0 {
		s := l.steps[0]
		l.steps = l.steps[1:]
		w.since = time.Now()
		p.steps++
		p.mu.Unlock()
		s.run()
		p.mu.Lock()
	}
	l.steps = nil
	l.busy = false
}
