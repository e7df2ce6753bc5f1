package applet

import (
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const softlimitUsage = "softlimit: usage: softlimit [-a allbytes] [-c corebytes] [-d databytes] [-f filebytes] " +
	"[-l lockbytes] [-m membytes] [-o openfiles] [-p processes] [-r residentbytes] [-s stackbytes] " +
	"[-t cpusecs] child"

// softlimit runs a program with other soft limits: first those of the environment, which is
// daemontools-encore's, then those of the options, in their order.
//
// The limits hold for us, too, and the runtime has mapped more than most of them allow. So all that
// needs memory is done before, and afterwards there are plain system calls only.
func softlimit(c *call) int {
	env := environ()
	changes := environmentLimits(env)
	var complaint strings.Builder // on wrong usage
	g := &getopt{prog: c.argv0, letters: "a:c:d:f:l:m:o:p:r:s:t:", args: c.args, stderr: &complaint}
	bad := false
	for !bad {
		letter, value, ok := g.next()
		if !ok {
			break
		}
		bad = letter == badOption
		for _, resource := range optionLimits(letter) {
			changes = append(changes, limitChange{resource, value})
		}
	}
	if bad || len(g.args) == 0 {
		complaint.WriteString(softlimitUsage + "\n")
	} else {
		g.args, changes = inward(g.args, env, changes)
	}

	// A collection could start threads, and a stack that grows needs memory.
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
	growStack()
	// The runtime has raised the limit of open files and gives the old one back before it calls execve,
	// not knowing whether that works. An empty path never does.
	syscall.Exec("", []string{""}, nil)

	// Without a program the limits are set all the same: the first that fails is what the original reports.
	argv := g.args
	if complaint.Len() > 0 {
		argv = nil
	}
	p := newProgram(argv, env)
	wrong := complaint.String() // where all limits can be set
	words := newLastWords(argv)
	for _, change := range changes {
		failed, errno := change.apply()
		switch {
		case failed == badLimit:
			return rawExit(softlimitUsage+"\n", exitPermanent)
		case failed != "":
			return words.say(failed, "", errno)
		}
	}
	if wrong != "" {
		return rawExit(wrong, exitPermanent)
	}
	return words.say("unable to run ", argv[0], p.exec())
}

// lastWords are what a message can be made of without memory.
type lastWords struct {
	buf   []byte
	texts [134]string // of all errors of Linux
}

func newLastWords(argv []string) *lastWords {
	size := 256
	if len(argv) > 0 {
		size += len(argv[0])
	}
	w := &lastWords{buf: make([]byte, 0, size)}
	for i := range w.texts {
		w.texts[i] = errText(syscall.Errno(i))
	}
	return w
}

// say reports what failed, as fatal does. It allocates nothing.
func (w *lastWords) say(what, name string, errno syscall.Errno) (code int) {
	text := "unknown error"
	if int(errno) < len(w.texts) {
		text = w.texts[errno]
	}
	line := append(append(append(w.buf, "softlimit: fatal: "...), what...), name...)
	line = append(append(append(line, ": "...), text...), '\n')
	return rawExit(unsafe.String(unsafe.SliceData(line), len(line)), exitTemporary)
}

// A limitChange sets a soft limit. value is decimal, or "=" for the hard limit, or "-" for none, which sets the
// hard limit, too.
type limitChange struct {
	resource int
	value    string
}

// environmentLimits are the changes that variables ask for, in daemontools-encore's order: SOFTLIMIT_MEMBYTES
// comes after what it is the sum of.
func environmentLimits(env []string) (changes []limitChange) {
	for _, e := range [...]struct {
		resource int
		name     string
	}{
		{unix.RLIMIT_AS, "ALLBYTES"}, {unix.RLIMIT_AS, "MEMBYTES"},
		{unix.RLIMIT_CORE, "COREBYTES"},
		{unix.RLIMIT_DATA, "DATABYTES"}, {unix.RLIMIT_DATA, "MEMBYTES"},
		{unix.RLIMIT_FSIZE, "FILEBYTES"},
		{unix.RLIMIT_MEMLOCK, "LOCKEDBYTES"}, {unix.RLIMIT_MEMLOCK, "MEMBYTES"},
		{unix.RLIMIT_STACK, "STACKBYTES"}, {unix.RLIMIT_STACK, "MEMBYTES"},
		{unix.RLIMIT_NOFILE, "OPENFILES"},
		{unix.RLIMIT_NPROC, "PROCS"},
		{unix.RLIMIT_RSS, "RSSBYTES"},
		{unix.RLIMIT_CPU, "CPUSECS"},
	} {
		if value, set := getenv(env, "SOFTLIMIT_"+e.name); set {
			changes = append(changes, limitChange{e.resource, value})
		}
	}
	return changes
}

// optionLimits lists the limits that an option sets.
func optionLimits(letter byte) []int {
	switch letter {
	case 'a':
		return []int{unix.RLIMIT_AS}
	case 'c':
		return []int{unix.RLIMIT_CORE}
	case 'd':
		return []int{unix.RLIMIT_DATA}
	case 'f':
		return []int{unix.RLIMIT_FSIZE}
	case 'l':
		return []int{unix.RLIMIT_MEMLOCK}
	case 'm':
		return []int{unix.RLIMIT_DATA, unix.RLIMIT_STACK, unix.RLIMIT_MEMLOCK, unix.RLIMIT_AS}
	case 'o':
		return []int{unix.RLIMIT_NOFILE}
	case 'p':
		return []int{unix.RLIMIT_NPROC}
	case 'r':
		return []int{unix.RLIMIT_RSS}
	case 's':
		return []int{unix.RLIMIT_STACK}
	case 't':
		return []int{unix.RLIMIT_CPU}
	}
	return nil
}

// unbearable tells whether a Go program may be unable to start because of it. A process is to the kernel what
// a thread is to the runtime; root may have any number of them.
func (l limitChange) unbearable() bool {
	return l.resource == unix.RLIMIT_AS || l.resource == unix.RLIMIT_DATA || l.resource == unix.RLIMIT_NPROC && syscall.Getuid() != 0
}

// isWrong tells whether the value is none.
func (l limitChange) isWrong() bool {
	_, ok := scanLimit(l.value)
	return !ok && l.value != "=" && l.value != "-"
}

// option is the option that makes the change alone.
func (l limitChange) option() string {
	for _, letter := range "acdfloprst" {
		if optionLimits(byte(letter))[0] == l.resource {
			return "-" + string(letter)
		}
	}
	return ""
}

// badLimit is what apply returns for a value that is none.
const badLimit = "usage"

// apply makes the change. failed is empty, or names what failed. It allocates nothing.
func (l limitChange) apply() (failed string, errno syscall.Errno) {
	var limit unix.Rlimit
	if errno := rawLimit(l.resource, nil, &limit); errno != 0 {
		return "getrlimit failed", errno
	}
	switch l.value {
	case "=":
		limit.Cur = limit.Max
	case "-":
		limit.Cur, limit.Max = math.MaxUint64, math.MaxUint64
	default:
		value, ok := scanLimit(l.value)
		if !ok {
			return badLimit, 0
		}
		limit.Cur = min(value, limit.Max)
	}
	if errno := rawLimit(l.resource, &limit, nil); errno != 0 {
		return "setrlimit failed", errno
	}
	return "", 0
}

// scanLimit reads a decimal number, as the family does: nothing is 0, and what is too large for 64 bits
// loses its upper bits.
func scanLimit(s string) (value uint64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		value = value*10 + uint64(s[i]-'0')
	}
	return value, true
}

// rawLimit is prlimit(2) on ourselves, past package syscall, which takes note of some limits, and past the
// scheduler.
func rawLimit(resource int, set, get *unix.Rlimit) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(resource),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(get)), 0, 0)
	return errno
}

// rawExit writes to standard error and ends the process, past package os and the scheduler.
func rawExit(text string, code int) int {
	syscall.RawSyscall(unix.SYS_WRITE, 2, uintptr(unsafe.Pointer(unsafe.StringData(text))), uintptr(len(text)))
	syscall.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(code), 0, 0)
	return code
}

// A program is all that execve needs, made beforehand.
type program struct {
	paths     []*byte
	argv, env []*byte
}

func newProgram(argv, env []string) program {
	if len(argv) == 0 {
		return program{}
	}
	p := program{argv: cStrings(argv), env: cStrings(env)}
	p.paths = cStrings(programPaths(argv[0], env))
	p.paths = p.paths[:len(p.paths)-1]
	return p
}

// exec becomes the program. It returns only where that fails, and allocates nothing.
func (p program) exec() syscall.Errno {
	return firstToRun(len(p.paths), func(i int) syscall.Errno {
		_, _, errno := syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(p.paths[i])),
			uintptr(unsafe.Pointer(&p.argv[0])), uintptr(unsafe.Pointer(&p.env[0])))
		return errno
	})
}

// cStrings makes an array of C strings with a null pointer at its end. No string holds a NUL: they come from
// such an array.
func cStrings(list []string) []*byte {
	pointers := make([]*byte, 0, len(list)+1)
	for _, s := range list {
		pointers = append(pointers, &append([]byte(s), 0)[0])
	}
	return append(pointers, nil)
}

// growStack makes the goroutine's stack large enough for all that follows.
//
//go:noinline
func growStack() byte {
	var room [16 << 10]byte
	for i := range room {
		room[i] = byte(i)
	}
	return room[len(room)-1]
}
