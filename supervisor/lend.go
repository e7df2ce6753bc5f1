package supervisor

import (
	"slices"
	"time"
)

// lentSteps is how many lanes Work serves at most. Where more wait, as after many deaths at once, a worker
// of the Pool's own is as good, and the lender goes back to what it does otherwise.
const lentSteps = 4

// Hold keeps starts that are queued from now on for Work, where there is no worker for them. It is for a
// goroutine that causes a start and can run it itself: waking a worker would take as long as the rest of
// a restart.
func (p *Pool) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crews[startStep].held = true
}

// Work ends Hold, and runs the starts that wait, on the calling goroutine; those that are many, or that
// it cannot run, are left to a worker. If the goroutine gets stuck, relief is called, which must not
// block; what the goroutine does otherwise is then somebody else's, and Work returns true in the end.
func (p *Pool) Work(relief func()) (relieved bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.crews[startStep]
	c.held = false
	if len(c.queue) == 0 || len(c.active) > 0 {
		return false // a worker that is there knows of them
	}
	if len(c.queue) <= lentSteps && c.queue[0].steps[0].quick {
		w := &worker{since: time.Now(), relief: relief}
		c.active = append(c.active, w)
		p.keepWatch(c)
		for range lentSteps {
			p.run(c, w, c.next())
			p.mu.Unlock()
			yield() // to what was started: the rest is not as urgent
			p.mu.Lock()
			if !slices.Contains(c.active, w) {
				return true
			}
			if len(c.queue) == 0 || !c.queue[0].steps[0].quick {
				break
			}
		}
		p.done(c, w)
	}
	if len(c.queue) > 0 {
		p.hire(c)
	}
	return false
}
