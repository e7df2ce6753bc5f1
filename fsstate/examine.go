package fsstate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// An Examination is what a service directory asks for, as the daemon would read it, and what is
// remarkable about it.
type Examination struct {
	Path        string
	Name        string     // NAME, or NAME/log for a logger
	Definition  Definition // of which Reason tells the dialect
	HasRun      bool       // and it can be executed
	Interpreter string     // what the first line of run names, or ""
	Limits      []string   // the files in cgroup/
	Findings    []Finding
	Log         *Examination // of log/, or nil
}

// ErrNoDirectory says that there is no directory to examine.
var ErrNoDirectory = errors.New("it is not a directory")

// Examine examines the service directory at path, which is called name, and log/ in it.
func Examine(path, name string) (*Examination, error) {
	x, err := examine(path, name)
	if err != nil {
		return nil, err
	}
	if isLogger, _ := HasLog(path); isLogger {
		// One that cannot be read is a finding of its own.
		if x.Log, err = examine(filepath.Join(path, "log"), name+"/log"); err != nil {
			x.Log = nil
			x.found(Fault, "log", "cannot be read: %v", errnoOf(err))
		}
	}
	x.waitsForItself()
	return x, nil
}

func (x *Examination) found(s Severity, file, format string, args ...any) {
	(*findings)(&x.Findings).add(s, file, format, args...)
}

func examine(path, name string) (*Examination, error) {
	_, isDir, err := Identify(path)
	if err == nil && !isDir {
		err = ErrNoDirectory
	}
	if err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(absolute)
	if err != nil {
		return nil, errnoOf(err)
	}
	l := list(absolute)
	defer l.close()
	x := &Examination{Path: path, Name: name}
	var bad error
	x.Definition, bad = l.definition()
	x.Interpreter = Interpreter(filepath.Join(absolute, "run"))
	x.programs(&l)
	x.values(bad)
	x.others(&l, entries)
	return x, nil
}

// programs looks at whether what is run can be.
func (x *Examination) programs(l *listing) {
	d := &x.Definition
	reason := unexecutable(l.path, "run")
	x.HasRun = reason == ""
	if !x.HasRun && !d.Oneshot {
		x.found(Fault, "run", "%s; the service cannot be started", reason)
	}
	for _, beside := range [...]struct {
		file  file
		count bool
	}{
		{fileCheck, d.Check}, {fileFinish, d.Finish}, {fileLog, d.Log}, {fileNotify, d.Notify}, {fileStart, d.Start}, {fileStop, d.Stop},
	} {
		if reason := unexecutable(l.path, beside.file.String()); beside.count && reason != "" {
			x.found(Fault, beside.file.String(), "%s; it cannot be run", reason)
		}
	}
	for _, letter := range d.Control {
		name := "control/" + string(letter)
		if reason := unexecutable(l.path, name); reason != "" {
			x.found(Fault, name, "%s; it cannot be run", reason)
		}
		if !strings.ContainsRune(controlLetters, letter) {
			x.found(Warning, name, "is for a letter that means nothing")
		}
	}
	x.notPrograms(l)
}

// controlLetters are the letters of which a script in control takes note.
const controlLetters = "acdhikpqtuwx12"

// notPrograms looks for what only has the name of a program. finish is the reader's.
func (x *Examination) notPrograms(l *listing) {
	for _, f := range [...]file{fileStart, fileStop, fileNotify, fileCheck, fileLog} {
		mode := l.mode(f)
		if mode&unix.S_IFMT != unix.S_IFREG || mode&0o100 != 0 || f == fileCheck && mode&0o111 != 0 {
			continue
		}
		x.found(Warning, f.String(), "is not executable by its owner; it counts for nothing")
	}
	if x.Definition.Dialect != Runit {
		return
	}
	scripts, _ := os.ReadDir(filepath.Join(l.path, "control"))
	for _, e := range scripts {
		if name := e.Name(); len(name) == 1 && !strings.Contains(x.Definition.Control, name) {
			x.found(Warning, "control/"+name, "is not executable by its owner; it counts for nothing")
		}
	}
}

// values takes up what the reader could not use.
func (x *Examination) values(bad error) {
	if bad == nil {
		return
	}
	for _, err := range bad.(interface{ Unwrap() []error }).Unwrap() {
		var v *ValueError
		if errors.As(err, &v) {
			x.found(Warning, v.File, "%s; %s", v.Reason, v.Instead)
		}
	}
}

// others looks at the entries that mean something in another way than by being read.
func (x *Examination) others(l *listing, entries []os.DirEntry) {
	var unknown []string
	for _, e := range entries {
		name := e.Name()
		f, known := lookupFile([]byte(name))
		switch {
		case known:
			x.known(l, f)
		case name[0] == '.', freeNames[name]:
		case name == "supervise":
			x.supervise(l.path)
		case s6rcNames[name]:
			x.found(Note, name, "is for s6-rc, and means nothing here")
		default:
			if meant := near(name); meant != "" {
				x.found(Warning, name, "means nothing; is it to be %s?", meant)
			} else {
				unknown = append(unknown, name)
			}
		}
	}
	if unknown != nil {
		x.found(Note, "", "also holds %s, of no meaning to upkeep", quoteSome(unknown))
	}
	if x.Definition.Limits {
		limits, _ := os.ReadDir(filepath.Join(l.path, "cgroup"))
		for _, e := range limits {
			if e.Name()[0] != '.' {
				x.Limits = append(x.Limits, e.Name())
			}
		}
	}
}

// freeNames are names that upkeep or its clients, s6 or svlogd know, and that ask for nothing.
var freeNames = map[string]bool{
	"data": true, "env": true, "instance": true, "instances": true, "template": true, "config": true,
}

// s6rcNames are the files of s6-rc's source directories.
var s6rcNames = map[string]bool{
	"type": true, "up": true, "dependencies": true, "dependencies.d": true, "contents": true, "contents.d": true,
	"producer-for": true, "consumer-for": true, "pipeline-name": true, "timeout-up": true, "timeout-down": true,
	"flag-essential": true, "flag-recommended": true,
}

// known looks at a file that means something, where its reading did not.
func (x *Examination) known(l *listing, f file) {
	name := f.String()
	exists := l.exists(f)
	switch {
	case f == fileRun: // was looked at
	case !exists:
		to, _ := os.Readlink(filepath.Join(l.path, name))
		x.found(Warning, name, "is a link to %s, which is not there; it counts for nothing", to)
	case f == fileNotificationFD && (x.Definition.NotificationFD == 1 || x.Definition.NotificationFD == 2):
		x.found(Note, name, "takes the place of descriptor %d, which run cannot write to otherwise", x.Definition.NotificationFD)
	case f == fileLockFD:
		x.found(Note, name, "counts for nothing but the dialect")
	case f == fileNewPIDs && x.Definition.TimeoutKill == 0:
		x.found(Note, name, "makes run process 1 of its namespace, which TERM does not end unless it is caught; "+
			"there is no timeout-kill")
	case f == fileCgroup && !l.isDir(f), f == fileControl && !l.isDir(f):
		x.found(Warning, name, "is not a directory; it counts for nothing")
	case f == fileCheck && x.Definition.Dialect != Runit && l.executable(f, 0o111):
		x.found(Note, name, "is for runit's services; only sv asks it")
	case isProgram(f) && l.isDir(f):
		x.found(Warning, name, "is a directory; it counts for nothing")
	}
}

// isProgram tells whether f is one that is run.
func isProgram(f file) bool {
	return setOf(fileStart, fileStop, fileNotify, fileFinish, fileCheck).has(f)
}

// supervise looks at whether there is a place for what supervising makes.
func (x *Examination) supervise(path string) {
	super := filepath.Join(path, "supervise")
	if _, isDir, err := Identify(super); err == nil && !isDir {
		x.found(Fault, "supervise", "is not a directory; the service cannot be taken up")
	} else if err != nil && err != unix.ENOENT {
		x.found(Fault, "supervise", "cannot be used: %v; the service cannot be taken up", err)
	}
}

// waitsForItself finds what can never begin.
func (x *Examination) waitsForItself() {
	for s := x; s != nil; s = s.Log {
		if slices.Contains(s.Definition.After, s.Name) {
			s.found(Warning, "after", "names the service itself, which is not waited for")
		}
		if dir, ok := s.Definition.Trigger.Service(); ok && sameDirectory(dir, s.Path) {
			s.found(Warning, "trigger", "waits for the service itself, which is not waited for")
		}
	}
}

func sameDirectory(a, b string) bool {
	first, _, err := Identify(a)
	second, _, berr := Identify(b)
	return err == nil && berr == nil && first == second
}

// quoteSome lists names, of many only the first ones.
func quoteSome(names []string) string {
	const most = 10
	var list []string
	for _, name := range names[:min(len(names), most)] {
		list = append(list, fmt.Sprintf("%q", name))
	}
	text := strings.Join(list, ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
