package daemon

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/reaper"
)

// ProbeName is the argv[0] by which a program is asked which handovers it understands. It writes their
// versions to standard output, separated by spaces.
const ProbeName = "upkeep-handover-versions"

// probeTime is how long a new program may take to say what it understands.
const probeTime = 5 * time.Second

// An upgrade replaces this process by the program that is now where it was executed from. Every service goes on.
type upgrade struct {
	d     *daemon
	reply string // who waits for an answer
	pid   int    // of the new program, while it is being asked
	out   int    // what it says, or -1
	over  bool
}

// upgrade asks the program at our path whether it understands what we hand over, and executes it if it does.
func (d *daemon) upgrade(reply string) {
	switch {
	case d.stop != nil:
		d.home.Refuse(reply, "everything is being stopped")
		return
	case d.upgrading != nil:
		d.home.Refuse(reply, "it is being upgraded already")
		return
	}
	u := &upgrade{d: d, reply: reply, out: -1}
	d.upgrading = u
	d.host.Pool.NewLane().DoStart(func() {
		var p [2]int
		err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK)
		if err == nil {
			u.out = p[0]
			err = d.host.Reaper.Start(reaper.Spec{
				Path: d.program, Args: []string{ProbeName}, Env: d.host.Env,
				Stdin: unix.Stdin, Stdout: p[1], Stderr: unix.Stderr, Setsid: true,
			}, u)
			unix.Close(p[1])
		}
		if err != nil {
			d.mail.post(func() { u.refuse(fmt.Sprintf("cannot execute %s: %v", d.program, err)) })
		}
	})
	d.host.After(probeTime, func() {
		if !u.over {
			d.host.Reaper.Signal(u.pid, unix.SIGKILL, false)
			u.refuse(fmt.Sprintf("%s does not say within %v which handover it understands", d.program, probeTime))
		}
	})
}

// Started and Exited are the reaper's.
func (u *upgrade) Started(pid int) { u.d.mail.post(func() { u.pid = pid }) }

func (u *upgrade) Exited(e reaper.Exit) {
	u.d.mail.post(func() {
		if u.over {
			return
		}
		var said [256]byte
		n, _ := unix.Read(u.out, said[:])
		text := string(said[:max(0, n)])
		switch {
		case u.d.stop != nil:
			u.refuse("everything is being stopped")
		case e.Status != 0:
			u.refuse(fmt.Sprintf("%s does not start: %s", u.d.program, describe(e.Status)))
		case !understands(text):
			u.refuse(fmt.Sprintf("%s understands the handovers %q, and this is version %d", u.d.program, strings.TrimSpace(text), HandoverVersion))
		default:
			u.end()
			u.d.upgrading = u // until this process is another one
			u.d.say("executing " + u.d.program + " anew; every service goes on")
			u.d.executeAnew(u.d.program, u.reply, 0)
			u.d.upgrading = nil
		}
	})
}

// understands tells whether our version is among those that a program has named.
func understands(said string) bool {
	for v := range strings.FieldsSeq(said) {
		if v == fmt.Sprint(HandoverVersion) {
			return true
		}
	}
	return false
}

func (u *upgrade) end() {
	u.over, u.d.upgrading = true, nil
	if u.out >= 0 {
		unix.Close(u.out)
		u.out = -1
	}
}

func (u *upgrade) refuse(why string) {
	if u.over {
		return
	}
	u.end()
	u.d.messages.warn("", "not upgraded: %s; everything goes on as before", why)
	u.d.home.Refuse(u.reply, why)
}

// quietTime is how long what is under way may take before it is left to the successor, which finds it as after
// a crash.
const quietTime = time.Second

// executeAnew executes upkeep in place of this process. It returns if that fails, when all is as before.
func (d *daemon) executeAnew(path, reply string, panics int) {
	end := time.Now().Add(quietTime)
	for _, e := range d.entries {
		for _, s := range e.supervisors() {
			s.Flush()
		}
	}
	d.calm(end) // services may just be being taken up, and meanwhile clients are heard
	d.host.Controls.Pause()
	defer d.host.Controls.Resume()
	d.calm(end)
	d.messages.flush(quietTime)
	h := d.handover()
	h.reply, h.panics = reply, panics
	if err := h.execute(path); err != nil {
		d.messages.warn("", "not executed anew: %v; everything goes on as before", err)
		d.home.Refuse(reply, err.Error())
	}
}

// calm goes on with what is under way until nothing is, or it is too late.
func (d *daemon) calm(end time.Time) {
	for d.busy() && time.Now().Before(end) {
		d.mail.run()
		time.Sleep(100 * time.Microsecond)
	}
}

// handedTime is how long what was handed over waits to be asked for.
const handedTime = 10 * time.Second

// expectHanded keeps the ends of those that are still to be taken over, and in the end gives up what nobody
// has asked for.
func (d *daemon) expectHanded() {
	done := d.host.Reaper.Keep()
	d.host.After(handedTime, func() {
		done()
		d.handed.close()
	})
}

// resumed answers who has asked for what has brought us here, once the services are taken up.
func (d *daemon) resumed() {
	if d.handed != nil && d.handed.reply != "" {
		d.home.Answer(d.handed.reply, "every service goes on under "+d.program+"\n")
		d.handed.reply = ""
	}
}

// busy tells whether something is under way that would be known better when it is done.
func (d *daemon) busy() bool { return !d.host.Pool.Idle() || !d.mail.empty() }

// handover collects what a successor needs of us.
func (d *daemon) handover() *Handover {
	h := newHandover()
	h.home[0], h.home[1] = d.home.Held()
	h.resumes, h.caught = d.resumes+1, d.signals
	if d.stop != nil {
		h.signals = append(h.signals, unix.SIGTERM)
	}
	if c := d.command; c != nil && c.running && c.pid != 0 {
		h.command = reaper.Process{Pid: c.pid, Start: d.host.Reaper.StartTime(c.pid)}
	}
	if fd := d.watch.fd; fd >= 0 {
		h.spare = []int{fd}
	}
	d.handed.passOn(h)
	for _, e := range d.entries {
		for _, s := range e.supervisors() {
			id, held, socket, ok := s.Held()
			if ok {
				h.dirs[id] = held
			}
			if socket > 0 {
				h.sockets[id] = socket
			}
		}
		if e.pipe != nil {
			h.pipes[e.id] = e.pipe.Held()
		}
	}
	return h
}

// programPath is where this program is, and where its next version will be.
func programPath() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return strings.TrimSuffix(path, " (deleted)")
}
