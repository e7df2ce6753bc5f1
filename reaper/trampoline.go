package reaper

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// TrampolineName is the argv[0] by which upkeep knows that it was executed as the trampoline.
const TrampolineName = "upkeep-trampoline"

// trampoline returns what to execute in place of s: upkeep itself, which then does in the child what
// can hang, Trampoline below. /proc/self/exe is the running binary even after an upgrade has replaced
// the file. Its report goes to the descriptor of that number.
func trampoline(s Spec, reportFD int) (path string, args []string, dir string) {
	path = "/proc/self/exe"
	if _, err := os.Lstat(path); err != nil { // no /proc
		if path, err = os.Executable(); err != nil {
			path = os.Args[0]
		}
	}
	return path, append([]string{TrampolineName, strconv.Itoa(reportFD), strings.Join(s.Join, "\n"), s.Dir, s.Path}, s.Args...), ""
}

// Trampoline is the child's half. args are the descriptor for its report, the cgroup.procs files to enter by, one a line, the
// working directory, the path and the arguments of the program. It returns only after a failure, when it has reported the errno to the parent.
func Trampoline(args []string) {
	if len(args) < 5 {
		return
	}
	reportFD, err := strconv.Atoi(args[0])
	if err != nil {
		return
	}
	report := func(err error) { report(reportFD, err) }
	unix.CloseOnExec(reportFD)
	groups, dir, path, argv := args[1], args[2], args[3], args[4:]
	for _, procs := range strings.FieldsFunc(groups, func(r rune) bool { return r == '\n' }) {
		if err := enter(procs); err != nil {
			report(err)
			return
		}
	}
	if dir != "" {
		if err := unix.Chdir(dir); err != nil {
			report(err)
			return
		}
	}
	report(syscall.Exec(path, argv, syscall.Environ()))
}

// enter moves this process into the group whose cgroup.procs is given.
func enter(procs string) error {
	fd, err := unix.Open(procs, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte("0"))
	return err
}

func report(fd int, err error) {
	errno, ok := err.(syscall.Errno)
	if !ok {
		errno = unix.EIO
	}
	unix.Write(fd, []byte{byte(errno), byte(errno >> 8)})
}

// A launchReport is the pipe on which the trampoline says why it failed. Its write end is closed by a
// successful exec. The read end lives as long as the process: reading it after the death needs
// neither a goroutine nor patience.
type launchReport struct {
	reader, writer int
}

func newLaunchReport() (*launchReport, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	return &launchReport{reader: p[0], writer: p[1]}, nil
}

func (l *launchReport) closeWriter() { unix.Close(l.writer) }

// take returns the reported error, or nil when the program was executed, and closes the pipe.
func (l *launchReport) take() error {
	defer unix.Close(l.reader)
	var b [2]byte
	if n, _ := unix.Read(l.reader, b[:]); n != len(b) {
		return nil
	}
	return syscall.Errno(uint16(b[0]) | uint16(b[1])<<8)
}

// IsTrampoline tells whether the process was executed as the trampoline.
func IsTrampoline(argv0 string) bool { return argv0 == TrampolineName }
