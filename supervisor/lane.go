package supervisor

import (
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"upkeep/reaper"
)

// stuckAfter is how long a step may keep a worker before another one takes its place. It is long for a
// step and short for a person; on a machine so busy that steps take longer, the order of starts suffers.
const stuckAfter = 250 * time.Millisecond

// A Pool runs the steps of all Lanes with a few workers: each kind of step has a crew of its own. Each crew
// takes Lanes in the order in which they came to it, so that services are started in the order in which
// that was asked for, and a thousand of them need a handful of threads. A worker that is stuck, on a file
// system that does not answer, is left to itself and the next one goes on. There is no worker when there is
// nothing to do. A goroutine that brings about a start may be the worker for it (lend.go).
type Pool struct {
	// Rouse wakes the goroutine that steps post to. It is called when there is nothing more to do, or
	// every so often: waking it for each of a thousand steps would cost more than they do.
	Rouse func()
	// Starters have goroutines that fork faster than others do, and have other descriptors than the rest. Each
	// does the work that it is given, and returns false if it cannot take it. There are as many workers for
	// starts: one that forks only waits until the child executes its program.
	Starters []func(work func()) bool

	// Rescue, unless it is nil, is deferred at the root of each goroutine of the Pool.
	Rescue func()

	mu    sync.Mutex
	crews [stepKinds]crew
	steps uint64 // that were run
	lent  uint64 // bit i: Starters[i] has work
}

// Where making the files of a service takes longer than slow, fileWorkers of them do so at a time. Where it does not,
// they would be in each other's way.
const (
	fileWorkers = 2
	slow        = 500 * time.Microsecond
)

// statusPatience is how long a status waits at most while services are being started.
const statusPatience = time.Second

// rouseEvery is after how many steps what they have posted is looked at.
const rouseEvery = 16

// A crew is the workers for one kind of step, without those that are stuck.
type crew struct {
	kind   stepKind
	queue  []*Lane
	active []*worker
	pace   time.Duration // fileStep: what a step takes
	turns  turns         // fileStep: of the Lanes; startStep: of the steps
	watch  *time.Timer
	silent int       // steps since Rouse was called
	due    time.Time // statusStep: until when it waits for the others, since it does
	held   bool      // nobody is hired until Work is called
}

type worker struct {
	since time.Time // when its present step was begun
	// relief is called when another one takes the place of a worker that is lent and stuck; nil for one
	// that is hired. It must not block.
	relief func()
	lean   bool // it is one of the Starters
}

type stepKind uint8

const (
	fileStep   stepKind = iota
	startStep           // forks
	groupStep           // makes a cgroup
	lookStep            // reads
	recordStep          // writes a status that is to outlive us, and keeps nothing waiting
	statusStep          // writes one that can wait until others have done what they have to do
	stepKinds
)

func (k stepKind) writes() bool { return k == recordStep || k == statusStep }

// outdates tells whether a step makes one of another kind pointless if nothing came between.
func (k stepKind) outdates(earlier stepKind) bool {
	return k.writes() && (earlier == statusStep || earlier == k)
}

// A Lane runs the steps of one service, one at a time and in order.
type Lane struct {
	pool *Pool
	// Panicked is called when a step has panicked; without it the panic goes on.
	Panicked func(p any, stack []byte)

	steps   []step // guarded by pool.mu
	busy    bool   // a worker has it, or it is in a queue
	writing bool   // the step under way writes a status
	turn    uint64 // of the present start, among those of all Lanes
}

type step struct {
	run   func()
	kind  stepKind
	quick bool // it may be run where the descriptors are others
}

// NewLane returns an empty Lane.
func (p *Pool) NewLane() *Lane { return &Lane{pool: p} }

// Steps tells how many steps were run so far.
func (p *Pool) Steps() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.steps
}

// Idle tells whether no step is under way or waits, but for those that are stuck.
func (p *Pool) Idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.crews {
		if c := &p.crews[i]; len(c.queue) > 0 || len(c.active) > 0 {
			return false
		}
	}
	return true
}

// Busy tells whether a step of the Lane is under way or waits.
func (l *Lane) Busy() bool {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	return l.busy
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

// DoStatus queues a step that makes an earlier one pointless if nothing came between. It can wait until what is to be
// started is.
func (l *Lane) DoStatus(run func()) { l.add(step{run: run, kind: statusStep}) }

// DoRecord is DoStatus for what cannot wait. It makes an earlier one of either kind pointless.
func (l *Lane) DoRecord(run func()) { l.add(step{run: run, kind: recordStep}) }

// Hasten has a status that waits written without further delay and then runs a step. It returns false, and queues
// nothing, if no status waits or is being written.
func (l *Lane) Hasten(then func()) bool {
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if !l.writing && !slices.ContainsFunc(l.steps, func(s step) bool { return s.kind.writes() }) {
		return false
	}
	l.append(step{run: then})
	return true
}

// DoLook queues a step that only reads, ahead of what makes files.
func (l *Lane) DoLook(run func()) { l.add(step{run: run, kind: lookStep}) }

func (l *Lane) add(s step) {
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(l.steps); n > 0 && s.kind.outdates(l.steps[n-1].kind) {
		urgent := s.kind != l.steps[n-1].kind
		l.steps[n-1] = s
		if urgent && p.crews[statusStep].loses(l) {
			p.enqueue(l)
		}
		return
	}
	l.append(s)
}

// append is called with the lock held.
func (l *Lane) append(s step) {
	l.steps = append(l.steps, s)
	if !l.busy || l.pool.crews[statusStep].loses(l) {
		l.busy = true
		l.pool.enqueue(l)
	}
}

// crew is which crew the next step is for. A status that something waits for is as urgent as any file.
func (l *Lane) crew() stepKind {
	if l.steps[0].kind == statusStep && len(l.steps) > 1 {
		return fileStep
	}
	return l.steps[0].kind
}

// enqueue gives the Lane to the crew that its next step is for. The lock is held.
func (p *Pool) enqueue(l *Lane) {
	kind := l.crew()
	c := &p.crews[kind]
	c.kind = kind
	c.queue = append(c.queue, l)
	switch {
	case len(c.active) == 0 && c.held:
	case kind == statusStep && p.waits():
		p.keepWatch(c)
	case len(c.active) < p.width(c):
		p.hire(c)
	case p.replace(c):
	default:
		p.keepWatch(c)
	}
}

// waits tells whether statuses are not to be written yet: until all services are started that are to be, what is
// said of them can wait a moment.
func (p *Pool) waits() bool {
	if !p.crews[fileStep].occupied() && !p.crews[startStep].occupied() {
		return false
	}
	c, now := &p.crews[statusStep], time.Now()
	if c.due.IsZero() {
		c.due = now.Add(statusPatience)
	}
	return now.Before(c.due)
}

// occupied tells whether there is work that gets on.
func (c *crew) occupied() bool {
	return len(c.queue) > 0 || slices.ContainsFunc(c.active, func(w *worker) bool { return !w.stuck() })
}

// relieve lets statuses be written that have waited long enough.
func (p *Pool) relieve() {
	if c := &p.crews[statusStep]; len(c.queue) > 0 && len(c.active) == 0 && !p.waits() {
		p.hire(c)
	}
}

// loses takes a Lane out of the queue, and tells whether it was in it.
func (c *crew) loses(l *Lane) bool {
	i := slices.Index(c.queue, l)
	if i >= 0 {
		if c.queue = slices.Delete(c.queue, i, i+1); len(c.queue) == 0 {
			c.due = time.Time{}
		}
	}
	return i >= 0
}

// width is how many workers a crew has at most.
func (p *Pool) width(c *crew) int {
	switch c.kind {
	case fileStep:
		if c.pace > slow {
			return fileWorkers
		}
	case startStep:
		return max(1, len(p.Starters))
	}
	return 1
}

// next takes the Lane whose turn it is. There is one.
func (c *crew) next() (l *Lane) {
	l = c.queue[0]
	if c.queue = c.queue[1:]; len(c.queue) == 0 {
		c.queue = nil
	}
	return l
}

// leave takes a worker from the active ones, and tells whether it was one of them.
func (c *crew) leave(w *worker) bool {
	i := slices.Index(c.active, w)
	if i >= 0 {
		c.active = slices.Delete(c.active, i, i+1)
	}
	return i >= 0
}

func (w *worker) stuck() bool { return time.Since(w.since) >= stuckAfter }

// replace lets another worker take the place of one that is stuck, if one is. The lock is held.
func (p *Pool) replace(c *crew) bool {
	i := slices.IndexFunc(c.active, (*worker).stuck)
	if i < 0 {
		return false
	}
	w := c.active[i]
	c.leave(w)
	p.rouse(c) // to what it has posted before it got stuck
	if w.relief != nil {
		w.relief()
	}
	p.hire(c)
	return true
}

// hire makes one worker more. The lock is held.
func (p *Pool) hire(c *crew) {
	w := &worker{since: time.Now()}
	c.active = append(c.active, w)
	if c.kind == startStep && p.borrow(c, w) {
		p.keepWatch(c) // the Starter may be busy for ever
		return
	}
	go p.work(c, w)
	if len(c.queue) > 1 {
		p.keepWatch(c)
	}
}

// borrow makes w one of the Starters, if one has nothing to do.
func (p *Pool) borrow(c *crew, w *worker) bool {
	for i, start := range p.Starters {
		bit := uint64(1) << i
		if p.lent&bit == 0 && start(func() { p.work(c, w); p.giveBack(bit) }) {
			p.lent |= bit
			w.lean = true
			return true
		}
	}
	return false
}

func (p *Pool) giveBack(bit uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent &^= bit
}

// keepWatch sees to it that somebody looks whether a worker is stuck. The lock is held.
func (p *Pool) keepWatch(c *crew) {
	if c.watch == nil {
		c.watch = time.AfterFunc(stuckAfter, func() { p.inspect(c) })
	}
}

func (p *Pool) inspect(c *crew) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.watch = nil
	p.relieve()
	if c.kind == statusStep && len(c.queue) > 0 && len(c.active) == 0 { // what it waits for may get stuck
		p.keepWatch(c)
		return
	}
	lent := slices.ContainsFunc(c.active, func(w *worker) bool { return w.relief != nil })
	if len(c.active) == 0 || len(c.queue) == 0 && !lent {
		return
	}
	p.replace(c)
	p.keepWatch(c)
}

// work runs steps until there are none, or until another worker was hired in its place.
func (p *Pool) work(c *crew, w *worker) {
	if p.Rescue != nil {
		defer p.Rescue()
	}
	defer reaper.Deafen()()
	p.mu.Lock()
	defer p.mu.Unlock()
	for slices.Contains(c.active, w) {
		if len(c.queue) == 0 || len(c.active) > p.width(c) || c.kind == statusStep && p.waits() {
			p.done(c, w)
			return
		}
		p.run(c, w, c.next())
	}
}

// done lets a worker go that has nothing to do.
func (p *Pool) done(c *crew, w *worker) {
	c.leave(w)
	if len(c.queue) == 0 {
		c.due = time.Time{}
	}
	p.rouse(c)
	p.relieve()
}

// run runs the steps of a Lane that are for this crew, and those for another one while that has nothing
// else to do: handing over costs more than most steps. The lock is held but for the steps themselves.
func (p *Pool) run(c *crew, w *worker, l *Lane) {
	turn := uint64(0)
	if c.kind == fileStep {
		turn = c.turns.next()
		defer c.turns.took(turn) // when what follows has been handed over
	}
	for left := len(l.steps); left > 0; left-- {
		s := l.steps[0]
		kind := l.crew()
		foreign := kind != c.kind
		if foreign && (len(p.crews[kind].active) > 0 || kind == statusStep && p.waits()) || !s.quick && (w.relief != nil || w.lean && foreign) {
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
		l.writing = s.kind.writes()
		switch {
		case s.kind == startStep:
			starts := &p.crews[startStep].turns
			l.turn = starts.next()
			p.unlocked(l, run)
			starts.took(l.turn)
		case c.kind == fileStep:
			var took time.Duration
			p.unlocked(l, func() { run(); took = time.Since(w.since); c.turns.await(turn) })
			if c.pace += (took - c.pace) / 8; len(c.queue) > 0 && len(c.active) < p.width(c) {
				p.hire(c)
			}
		default:
			p.unlocked(l, run)
		}
		l.writing = false
		if c.silent++; c.silent >= rouseEvery || !slices.Contains(c.active, w) {
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
func (p *Pool) unlocked(l *Lane, run func()) {
	p.mu.Unlock()
	defer p.mu.Lock()
	defer l.rescue()
	run()
}

func (l *Lane) rescue() {
	if l.Panicked == nil {
		return
	}
	if p := recover(); p != nil {
		l.Panicked(p, debug.Stack())
	}
}
