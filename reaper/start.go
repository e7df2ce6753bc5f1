package reaper

import (
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Spec says what to execute and what the process finds.
type Spec struct {
	Path string   // as given to execve, relative to Dir; no search
	Args []string // with argv[0]
	Env  []string
	Dir  string // working directory; empty for ours

	// Stdin, Stdout and Stderr are descriptors of ours. The process gets these three and no other, but for
	// Notice as number NoticeFD, unless that is 0; it can take the place of one of the three.
	Stdin, Stdout, Stderr int
	Notice, NoticeFD      int

	Setsid bool // a session and a process group of its own
	// Foreground makes the process the leader of the terminal's foreground group. Stdin must be the
	// terminal.
	Foreground bool
	Setpgid    bool // a process group of its own
	NewPIDs    bool // process 1 of a PID namespace of its own

	// Remote says that Dir or Path may lie on a file system that can hang. The process is then started
	// by way of the trampoline: the hang is the child's alone, and not that of every goroutine (Go
	// holds up the whole process between clone and execve).
	Remote bool

	// Cgroup is the directory of the unified cgroup in which the process is born; empty for ours. Join are
	// the cgroup.procs files of further groups that it enters before it executes anything.
	Cgroup string
	Join   []string

	Await func() // called right before the fork, unless nil
}

// Reports tells whether the process is started by way of the trampoline, whose report is read in the end.
func (s *Spec) Reports() bool { return s.Remote || len(s.Join) > 0 }

// Start starts a process and registers owner for its end. The error is the errno of what failed:
// fork, chdir or execve. With Remote or Join, only what failed before the trampoline ran is known here,
// and the rest comes with the Exit.
func (r *Reaper) Start(s Spec, owner Owner) error {
	path, args, dir := s.Path, s.Args, s.Dir
	files := []uintptr{uintptr(s.Stdin), uintptr(s.Stdout), uintptr(s.Stderr)}
	if s.NoticeFD > 0 {
		files = withNotice(files, s.Notice, s.NoticeFD)
	}
	c := &child{owner: owner, pidfd: -1}
	if s.Reports() {
		report, err := newLaunchReport()
		if err != nil {
			return err
		}
		defer report.closeWriter()
		c.report = report
		path, args, dir = trampoline(s, len(files))
		files = append(files, uintptr(report.writer))
	}
	attr := &syscall.ProcAttr{
		Dir: dir, Env: s.Env, Files: files,
		Sys: &syscall.SysProcAttr{Setsid: s.Setsid, Setpgid: s.Setpgid, Foreground: s.Foreground, Ctty: s.Stdin},
	}
	if s.NewPIDs {
		attr.Sys.Cloneflags = unix.CLONE_NEWPID
	}
	r.begin()
	if s.Await != nil {
		s.Await()
	}
	pid, err := forkExec(path, args, attr, s.Cgroup)
	r.end(pid, c)
	if err != nil && c.report != nil {
		c.report.take()
	}
	return err
}

// withNotice adds a descriptor of ours as that number, with none in between.
func withNotice(files []uintptr, ours, number int) []uintptr {
	const none = ^uintptr(0)
	for len(files) <= number {
		files = append(files, none)
	}
	files[number] = uintptr(ours)
	return files
}

// forkExec tries again when the file was just written: a fork elsewhere, in the writer, can hold its
// descriptor for the moment between clone and exec.
//
// The child gets an empty signal mask, whatever we were started with: it inherits that of the thread.
//
// A cgroup is opened here, where the descriptor is that of the forking thread.
func forkExec(path string, args []string, attr *syscall.ProcAttr, cgroup string) (int, error) {
	if cgroup != "" {
		fd, err := unix.Open(cgroup, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		defer unix.Close(fd)
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, fd
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var empty, old unix.Sigset_t
	if unix.PthreadSigmask(unix.SIG_SETMASK, &empty, &old) == nil {
		defer unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
	}
	const longest = 16 * time.Millisecond // some 30 in all
	for pause := time.Millisecond; ; pause *= 2 {
		pid, err := syscall.ForkExec(path, args, attr)
		if err != nil {
			pid = 0
		}
		if err != syscall.ETXTBSY || pause > longest {
			return pid, err
		}
		time.Sleep(pause)
	}
}
