package daemon

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A Machine is one whose init this process is: PID 1 of the kernel, not of a container. It begins with
// nothing but a root file system, and it ends with the machine. The kernel panics when its init exits,
// so nothing here gives up.
type Machine struct {
	*machinery
	restart bool // what the end is to be; otherwise the power is turned off
}

// OnMachine returns the machine whose init this process is, or nil. From now on ctrl-alt-del is SIGINT
// there. Only the kernel's first PID namespace lets its PID 1 decide that: it is refused in any other.
func OnMachine() *Machine {
	if os.Getpid() != 1 || unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF) != nil {
		return nil
	}
	return &Machine{}
}

// initPath is what services get for a PATH: the kernel gives none to its init.
const initPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// retryTime is how often what kept the root from being supervised is tried again.
const retryTime = time.Second

// Run supervises a root until a signal, the main command or an essential service ends it, and then ends
// the machine. refusal says why c is no configuration. Run does not return.
func (m *Machine) Run(c Config, refusal error) {
	signals, deaths := catchSignals() // from now on ctrl-alt-del would end this process
	notes := mountAll()
	openConsole()
	if _, set := os.LookupEnv("PATH"); !set {
		os.Setenv("PATH", initPath)
	}
	harden() // nothing limits the init of a machine
	for m.machinery == nil {
		var err error
		if m.machinery, err = newMachinery(c); err != nil {
			write(unix.Stderr, c.Program+": "+err.Error()+"; trying again\n")
			time.Sleep(retryTime)
		}
	}
	m.signals, m.deaths = signals, deaths
	m.handed.relay(signals)
	m.calmDown(m.panics)
	for _, n := range notes {
		m.messages.warn("", "%s", n)
	}
	m.supervise(c, refusal)
	for {
		m.end()
		m.pause(-1)
	}
}

// supervise returns when everything has ended as it was ordered.
func (m *Machine) supervise(c Config, refusal error) {
	for said := ""; ; {
		d, err := (*daemon)(nil), refusal
		if err == nil {
			d, err = m.take(c)
		}
		if err == nil {
			d.machine = m
			m.rescuer.resume = d.afterPanic
			d.run(d.onSignal)
			m.rescuer.resume = nil
			d.leave()
			d.home.Close()
			return
		}
		if said != err.Error() {
			said = err.Error()
			m.messages.warn("", "%s; nothing is supervised while that is so; TERM powers off, INT restarts", said)
		}
		if m.pause(retryTime) {
			return
		}
	}
}

// pause waits for a time, without an end where it is negative, reaps now and then, and tells whether a
// signal asks for the end.
func (m *Machine) pause(t time.Duration) (ordered bool) {
	var over <-chan time.Time
	if t >= 0 {
		over = time.After(t)
	}
	for {
		m.host.Reaper.Sweep()
		select {
		case <-over:
			return false
		case <-time.After(retryTime):
		case s := <-m.signals:
			switch s := s.(unix.Signal); s {
			case unix.SIGTERM, unix.SIGINT, unix.SIGPWR, unix.SIGQUIT:
				m.ordered(s)
				return true
			}
		}
	}
}

// ordered hears the signal that orders the end. The last one decides what the end is. It may be called
// where there is no machine.
func (m *Machine) ordered(s unix.Signal) {
	switch {
	case m == nil:
		return
	case s != unix.SIGQUIT: // which only means to hurry
		m.restart = s == unix.SIGINT
	}
	m.say("stopping everything before " + m.ending())
}

func (m *Machine) ending() string {
	if m.restart {
		return "restarting"
	}
	return "powering off"
}

// end brings the file systems into order and ends the machine. It returns only if the kernel refuses.
func (m *Machine) end() {
	m.killAll()
	m.sync()
	m.unmountAll()
	m.say(m.ending())
	m.messages.close(time.Second)
	drainConsole(time.Second)
	command := unix.LINUX_REBOOT_CMD_POWER_OFF
	if m.restart {
		command = unix.LINUX_REBOOT_CMD_RESTART
	}
	err := unix.Reboot(command)
	m.messages = newMessages(m.messages.program, unix.Stderr)
	m.messages.warn("", "%s: %v; TERM and INT try again", m.ending(), err)
}

// killTime is how long dead processes may take to be gone. Some system calls cannot be interrupted.
const killTime = time.Second

// killAll ends what is in nobody's care: an ordered end leaves nothing, an early one may.
func (m *Machine) killAll() {
	unix.Kill(-1, unix.SIGKILL)
	const look = 10 * time.Millisecond
	for over := time.Now().Add(killTime); m.host.Reaper.Sweep() && time.Now().Before(over); {
		time.Sleep(look)
	}
}
