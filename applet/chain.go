package applet

import (
	"strings"
	"syscall"
)

// chain makes the process run argv with the environment env. It returns, with the exit code, only where
// that fails. PATH is that of our own environment, whatever env says.
func (c *call) chain(prog string, argv, env []string) (code int) {
	paths := programPaths(argv[0], environ())
	return c.fatal(prog, "unable to run "+argv[0], firstToRun(len(paths), func(i int) syscall.Errno {
		return execErrno(syscall.Exec(paths[i], argv, env))
	}))
}

// programPaths lists where the program name may be, in the order to try: name itself if it has a slash,
// and else each element of PATH with name appended.
func programPaths(name string, env []string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	path, set := getenv(env, "PATH")
	if !set {
		path = "/bin:/usr/bin"
	}
	var paths []string
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		paths = append(paths, dir+"/"+name)
	}
	return paths
}

// firstToRun tries n paths in order as the family does: one where nothing is, or nothing that may be run, is
// passed over, any other error ends the search. It returns why none was run; that something could not be
// run says more than that nothing was there. It allocates nothing.
func firstToRun(n int, try func(i int) syscall.Errno) syscall.Errno {
	result := syscall.ENOENT
	for i := range n {
		switch errno := try(i); errno {
		case 0:
			return 0
		case syscall.ENOENT:
		case syscall.EACCES, syscall.EPERM, syscall.EISDIR:
			result = errno
		default:
			return errno
		}
	}
	return result
}

// execErrno returns the number of an error of starting a program.
func execErrno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := err.(syscall.Errno); ok {
		return errno
	}
	return syscall.EINVAL
}
