package supervisor

import (
	"sync"
	"time"

	"upkeep/reaper"
)

// stuckAfter is how long a step may keep a worker before another one takes its place. It is long for a
// step and short for a person; on a machine so busy that steps take longer, the order of starts suffers.
const stuckAfter = 250 * time.Millisecond

// A Pool runs the steps of all Lanes with three workers: one forks, and waits while the child executes its
// program, one makes cgroups ahead of that, and the other does everything else meanwhile. Each takes Lanes
// in the order in which they came to it, so that services are started in the order in which that was asked
// for, and a thousand of them need three threads. A worker that is stuck, on a file system that does not
// answer, is left to itself and the next one goes on. There is no worker when there is nothing to do. A
// goroutine that brings about a start may be the worker for it (lend.go).
type Pool struct {
	// Rouse wakes the goroutine that steps post to. It is called when there is nothing more to do, or
	// every so often: waking it for each of a thousand steps would cost more than they do.
	Rouse func()
	// Starter has a goroutine that forks faster than others do the work that is given, unless it is busy; nil
	// where there is none. It has other descriptors than the rest.
	Starter func(work func()) bool

	mu    sync.Mutex
	crews [stepKinds]crew
	steps uint64 // that were run
}

// rouseEvery is after how many steps what they have posted is looked at.
const rouseEvery = 16

// A crew is one of the workers, with those before it that are stuck.
type crew struct {
	kind    stepKind
	urgent  []*Lane // those with a status to write: what it says is true already
	queue   []*Lane
	current *worker // the one that takes the next Lane; nil when there is none
	watch   *time.Timer
	silent  int  // steps since Rouse was called
	held    bool // nobody is hired until Work is called
}

type worker struct {
	since time.Time // when its present step was begun
	// relief is called when another one takes the place of a worker that is lent and stuck; nil for one
	// that is hired. It must not block.
	relief func()
	lean   bool // it was hired from the Starter
}

type stepKind uint8

const (
	fileStep  stepKind = iota
	startStep          // forks
	groupStep          // makes a cgroup
	stepKinds
)

// A Lane runs the steps of one service, one at a time and in order.
type Lane struct {
	pool  *Pool
	steps []step // guarded by pool.mu
	busy  bool   // a worker has it, or it is in a queue
}

type step struct {
	run    func()
	kind   stepKind
	quick  bool // it may be run where the descriptors are others
	status bool
}

// NewLane returns an empty Lane.
func (p *Pool) NewLane() *Lane { return &Lane{pool: p} }

// Steps tells how many steps were run so far.
func (p *Pool) Steps() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.steps
}

// Do queues a step.
func (l *Lane) Do(run func()) { l.add(step{run: run}) }

// DoStart queues a step that forks.
func (l *Lane) DoStart(run func()) { l.add(step{run: run, kind: startStep}) }

// DoQuickStart queues a step that forks and may be run by Work and by the Starter: it neither uses a
// descriptor by its number, but for the standard three, nor opens one that lasts.
func (l *Lane) DoQuickStart(run func()) { l.add(step{run: run, kind: startStep, quick: true}) }

// DoGroup queues a step that makes a cgroup, which keeps no other step waiting.
func (l *Lane) DoGroup(run func()) { l.add(step{run: run, kind: groupStep}) }

// DoStatus queues a step that makes an earlier one of its kind pointless if nothing came between.
func (l *Lane) DoStatus(run func()) { l.add(step{run: run, status: true}) }

func (l *Lane) add(s step) {
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(l.steps); s.status && n > 0 && l.steps[n-1].status {
		l.steps[n-1] = s
		return
	}
	l.steps = append(l.steps, s)
	if !l.busy {
		l.busy = true
		p.enqueue(l)
	}
}

// enqueue gives the Lane to the crew that its next step is for. The lock is held.
func (p *Pool) enqueue(l *Lane) {
	c := &p.crews[l.steps[0].kind]
	c.kind = l.steps[0].kind
	if l.steps[0].status {
		c.urgent = append(c.urgent, l)
	} else {
		c.queue = append(c.queue, l)
	}
	switch {
	case c.current == nil && c.held:
	case c.current == nil || c.current.stuck():
		p.hire(c)
	default:
		p.keepWatch(c)
	}
}

// waiting is how many Lanes wait.
func (c *crew) waiting() int { return len(c.urgent) + len(c.queue) }

// next takes the Lane whose turn it is. There is one.
func (c *crew) next() (l *Lane) {
	from := &c.queue
	if len(c.urgent) > 0 {
		from = &c.urgent
	}
	l = (*from)[0]
	if *from = (*from)[1:]; len(*from) == 0 {
		*from = nil
	}
	return l
}

func (w *worker) stuck() bool { return time.Since(w.since) >= stuckAfter }

// hire makes a new worker the current one. The lock is held.
func (p *Pool) hire(c *crew) {
	if c.current != nil { // what it has posted before it got stuck
		p.rouse(c)
		if c.current.relief != nil {
			c.current.relief()
		}
	}
	w := &worker{since: time.Now()}
	c.current = w
	if c.kind == startStep && p.Starter != nil && p.Starter(func() { w.lean = true; p.work(c, w) }) {
		p.keepWatch(c) // the Starter may be busy for ever
		return
	}
	go p.work(c, w)
	if c.waiting() > 1 {
		p.keepWatch(c)
	}
}

// keepWatch sees to it that somebody looks whether the current worker is stuck. The lock is held.
func (p *Pool) keepWatch(c *crew) {
	if c.watch == nil {
		c.watch = time.AfterFunc(stuckAfter, func() { p.inspect(c) })
	}
}

func (p *Pool) inspect(c *crew) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.watch = nil
	if c.current == nil || c.waiting() == 0 && c.current.relief == nil {
		return
	}
	if c.current.stuck() {
		p.hire(c)
	}
	p.keepWatch(c)
}

// work runs steps until there are none, or until another worker was hired in its place.
func (p *Pool) work(c *crew, w *worker) {
	defer reaper.Deafen()()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c.current == w {
		if c.waiting() == 0 {
			c.current = nil
			p.rouse(c)
			return
		}
		p.run(c, w, c.next())
	}
}

// run runs the steps of a Lane that are for this crew, and those for the other one while that has nothing
// else to do: handing over costs more than most steps. The lock is held but for the steps themselves.
func (p *Pool) run(c *crew, w *worker, l *Lane) {
	for left := len(l.steps); left > 0; left-- {
		s := l.steps[0]
		foreign := s.kind != c.kind
		if foreign && p.crews[s.kind].current != nil || !s.quick && (w.relief != nil || w.lean && foreign) {
			p.enqueue(l)
			return
		}
		run := s.run
		if w.lean && !s.quick {
			run = func() { elsewhere(s.run) }
		}
		l.steps = l.steps[1:]
		w.since = time.Now()
		p.steps++
		p.unlocked(run)
		if c.silent++; c.silent >= rouseEvery || c.current != w {
			p.rouse(c)
		}
	}
	if len(l.steps) > 0 { // what came meanwhile waits for its turn
		p.enqueue(l)
		return
	}
	l.steps = nil
	l.busy = false
}

func (p *Pool) rouse(c *crew) {
	c.silent = 0
	if p.Rouse != nil {
		p.Rouse()
	}
}

// unlocked runs a step without the lock, and has it again even if the step panics.
func (p *Pool) unlocked(run func()) {
	p.mu.Unlock()
	defer p.mu.Lock()
	run()
}
