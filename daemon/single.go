package daemon

import (
	"time"

	"golang.org/x/sys/unix"

	"upkeep/supervisor"
)

// Supervise supervises the one directory that c.Root names, as daemontools' supervise does, until it is
// told to leave. The error says why it could not be taken up.
func Supervise(c Config) (int, error) {
	signals, deaths := catchSignals()
	if err := harden(); err != nil {
		return exitSystem, err
	}
	m, err := newMachinery(c)
	if err != nil {
		return exitSystem, err
	}
	m.signals, m.deaths = signals, deaths
	defer m.messages.close(time.Second)
	var refusal error
	s := supervisor.New(m.host, supervisor.Config{
		Name: c.Root, Label: c.Root, Path: c.Root, Stdin: unix.Stdin, Stdout: unix.Stdout,
	}, supervisor.Events{
		Refused:  func(err error) { refusal = err; m.finish(exitSystem) },
		Released: func() { m.finish(exitOK) },
	})
	m.notify.begin(func() string { return s.State().Phase.String() })
	m.notify.scanned(func() []func() bool { return []func() bool{s.Tried} })
	m.mail.post(s.Begin)
	onSignal := func(sig unix.Signal) {
		switch sig { // as daemontools-encore's
		case unix.SIGTERM, unix.SIGINT:
			m.notify.stop()
			s.Stop()
		case unix.SIGTSTP:
			s.Letters("p")
		case unix.SIGCONT:
			s.Letters("c")
		}
	}
	return m.run(onSignal), refusal
}
