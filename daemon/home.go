package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"upkeep/fsstate"
	"upkeep/reaper"
	"upkeep/tai64"
)

// homePath is the daemon's own directory: below the root, or below the state directory.
func (d *daemon) homePath() string {
	if d.State != "" {
		return filepath.Join(d.State, ".upkeep")
	}
	return filepath.Join(d.root, ".upkeep")
}

// lockPatience is how long a lock may outlive a daemon that was killed, and a child that it was about to start, which
// has it too until it executes its program. It is tried every lockPause.
const (
	lockPatience = time.Second
	lockPause    = 10 * time.Millisecond
)

// settle locks the root and learns how the last daemon of it has ended.
func (d *daemon) settle() (err error) {
	if lock, control := d.handed.root(); lock >= 0 {
		d.home = fsstate.KeepHome(d.homePath(), lock, control)
		d.record(phaseUp)
		return nil
	}
	if d.home, err = fsstate.LockHome(d.homePath()); errors.Is(err, fsstate.ErrLocked) {
		reaper.Settle()
	}
	for end := time.Now().Add(lockPatience); errors.Is(err, fsstate.ErrLocked) && time.Now().Before(end); {
		time.Sleep(lockPause)
		d.home, err = fsstate.LockHome(d.homePath())
	}
	switch {
	case errors.Is(err, fsstate.ErrLocked):
		return fmt.Errorf("cannot lock %s/lock: another upkeep supervises this root", d.homePath())
	case err != nil:
		d.messages.warn("", "%v; nothing keeps a second upkeep from this root", err)
		return nil
	}
	last, err := d.home.Last(fsstate.HomeStatus)
	if err == nil && d.ours(last) {
		d.host.Crashed = true
	}
	d.record(phaseUp)
	return nil
}

// ours tells whether something was recorded in this world and has not ended as it should.
func (d *daemon) ours(i fsstate.Info) bool {
	return i.In(d.host.World) && i.Phase != phaseGone
}

// isAlive tells whether the process that was recorded in this world still is.
func isAlive(i fsstate.Info) bool {
	p, err := reaper.Look(i.Pid)
	return err == nil && i.Is(p.Start)
}

// What a daemon records of itself.
const (
	phaseStarting = "starting"
	phaseUp       = "up"
	phaseGone     = "gone"
)

// record tells whoever comes after us how we are.
func (d *daemon) record(phase string) {
	i := fsstate.Info{World: d.host.World, Pid: os.Getpid(), Phase: phase, Since: new(tai64.Now())}
	i.Start, _ = reaper.StartTime(i.Pid)
	if err := d.home.Write(fsstate.HomeStatus, i.Append(nil)); err != nil {
		d.messages.warn("", "%v; after a crash not all that runs may be found again", err)
	}
}

// leave ends what the daemon itself has.
func (d *daemon) leave() {
	d.record(phaseGone)
	d.groups.close()
}

// lockHome locks a root that has taken the place of the one before, as far as that goes.
func (d *daemon) lockHome() {
	path, old := d.homePath(), d.home
	d.scan.lane.Do(func() {
		home, err := fsstate.LockHome(path)
		d.mail.post(func() {
			if err != nil {
				d.messages.warn("", "%v; nothing keeps a second upkeep from this root", err)
				return
			}
			old.Close()
			d.home = home
			d.register = newRegister(d)
			d.findRemoved()
			d.record(phaseUp)
		})
	})
}
