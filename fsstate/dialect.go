package fsstate

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Dialect is the supervisor that a service directory was written for. The directory's own files say
// which. The first of these that has a mark in it is taken:
//
//	s6                  notification-fd, timeout-finish, down-signal, reload-signal, max-death-tally,
//	                    lock-fd, flag-newpidns or flag-timeout-killpg, or a run whose first line names
//	                    execlineb or with-contenv
//	daemontools-encore  an executable file start, stop, notify or log
//	runit               an executable file finish or check, or a directory control
//	daemontoolsx        trigger
//	daemontools         nothing of these
//
// What upkeep honours in every directory decides nothing: down, no-setsid, timeout-kill, and its own
// files. Neither does what supervisors make: supervise and event.
type Dialect uint8

const (
	Daemontools Dialect = iota
	Daemontoolsx
	Runit
	Encore
	S6
)

var dialectNames = [...]string{
	Daemontools: "daemontools", Daemontoolsx: "daemontoolsx", Runit: "runit", Encore: "daemontools-encore", S6: "s6",
}

func (d Dialect) String() string { return dialectNames[d] }

// RunArgs are the arguments of run, with its name: s6 gives it the service's, all others none.
func (d Dialect) RunArgs(name string) []string {
	if d == S6 {
		return []string{"./run", name}
	}
	return []string{"./run"}
}

// FinishArgs are the arguments of finish after a run that ended with status, with finish's own name.
// group is the process group of the run.
func (d Dialect) FinishArgs(name string, status unix.WaitStatus, group int) []string {
	code, signal := status.ExitStatus(), 0
	if status.Signaled() {
		signal = int(status.Signal())
	}
	if d != S6 {
		// runit: -1 for a death by a signal, and the low byte of what wait(2) says.
		return []string{"./finish", strconv.Itoa(code), strconv.Itoa(int(status) & 0xff)}
	}
	if status.Signaled() {
		code = 256
	}
	return []string{"./finish", strconv.Itoa(code), strconv.Itoa(signal), name, strconv.Itoa(group)}
}

// RunFailed tells whether the exit code of run, start, stop or log says that it makes no sense to start
// the service again.
func (d Dialect) RunFailed(code int) bool { return d == Encore && code == 100 }

// FinishFailed tells whether the exit code of finish says that it makes no sense to start the service
// again.
func (d Dialect) FinishFailed(code int) bool { return d == S6 && code == 125 }

// marks are the files that tell a dialect, as far as their existence does.
const (
	s6Marks = 1<<fileNotificationFD | 1<<fileTimeoutFinish | 1<<fileDownSignal | 1<<fileReloadSignal |
		1<<fileDeathTally | 1<<fileLockFD | 1<<fileNewPIDs | 1<<fileTimeoutKillGroup
	runMark = 1 << fileRun // by its first line
)

// scripts finds out the dialect of a directory, and which of the programs beside run count.
func (l *listing) scripts(d *Definition, interpreter string, bad *problems) {
	var s6, encore, runit fileSet
	for f := range files {
		if s6Marks&(1<<f) != 0 && l.exists(f) {
			s6 |= 1 << f
		}
	}
	switch filepath.Base(interpreter) {
	case "execlineb", "with-contenv":
		s6 |= runMark
	}
	for _, f := range [...]file{fileStart, fileStop, fileNotify, fileLog} {
		if l.executable(f, 0o100) { // encore looks at the owner's bit
			encore |= 1 << f
		}
	}
	for _, f := range [...]file{fileFinish, fileCheck} {
		if l.executable(f, 0o111) {
			runit |= 1 << f
		}
	}
	if l.isDir(fileControl) {
		runit |= 1 << fileControl
	}

	switch {
	case s6 != 0:
		d.Dialect, d.marks = S6, s6
	case encore != 0:
		d.Dialect, d.marks = Encore, encore
	case runit != 0:
		d.Dialect, d.marks = Runit, runit
	case d.Trigger != "":
		d.Dialect, d.marks = Daemontoolsx, setOf(fileTrigger)
	}
	d.Finish = d.Dialect != Encore && runit.has(fileFinish)
	d.Event = d.Dialect == S6 || l.isDir(fileEvent)
	if d.Dialect != S6 {
		d.TimeoutFinish = 0
	}
	switch d.Dialect {
	case Encore:
		d.Start, d.Stop = encore.has(fileStart), encore.has(fileStop)
		d.Oneshot = d.Start && !l.there.has(fileRun)
		d.Notify, d.Log = encore.has(fileNotify), encore.has(fileLog)
	case Runit:
		d.Check = runit.has(fileCheck)
		if runit.has(fileControl) {
			d.Control = ControlScripts(l.path)
		}
	}
	d.foreign(encore, runit, bad)
	if !runit.has(fileFinish) && l.mode(fileFinish)&unix.S_IFMT == unix.S_IFREG {
		bad.add(fileFinish, "it is not run", "is not executable")
	}
}

// foreign reports the programs that count in another dialect only.
func (d *Definition) foreign(encore, runit fileSet, bad *problems) {
	report := func(owner Dialect, set fileSet) {
		for f := range files {
			if set.has(f) {
				bad.add(f, "it is not run", "is %v's, and this directory is %v's: %s", owner, d.Dialect, d.Reason())
			}
		}
	}
	switch d.Dialect {
	case S6:
		report(Encore, encore)
		report(Runit, runit&setOf(fileControl))
	case Encore:
		report(Runit, runit&setOf(fileFinish, fileControl))
	}
}

// Reason says by what the dialect was told.
func (d *Definition) Reason() string {
	if d.marks == 0 {
		return "no file in it is another supervisor's"
	}
	var names []string
	for f := range files {
		switch {
		case !d.marks.has(f):
		case f == fileRun:
			names = append(names, "a first line of run that names execlineb or with-contenv")
		case f == fileControl:
			names = append(names, f.String()+"/")
		default:
			names = append(names, f.String())
		}
	}
	slices.Sort(names)
	if last := len(names) - 1; last > 0 {
		return "it has " + strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return "it has " + names[0]
}

// ControlScripts are the letters for which the service directory at path has a script in control, in
// ASCII order: the executable files there with a name of one letter. As with runit the owner's bit
// counts.
func ControlScripts(path string) string {
	dir := filepath.Join(path, "control")
	fd, err := open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var letters []byte
	for e := (entries{fd: fd}); e.next(); {
		name := e.name()
		var st unix.Stat_t
		if len(name) == 1 && unix.Fstatat(fd, string(name), &st, 0) == nil &&
			st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o100 != 0 {
			letters = append(letters, name[0])
		}
	}
	slices.Sort(letters)
	return string(letters)
}
