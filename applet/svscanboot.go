package applet

import (
	"io"
	"os"
	"strings"
	"syscall"
)

// bootPath is the PATH that daemontools' svscanboot gives to every service.
const bootPath = "/command:/usr/local/bin:/usr/local/sbin:/bin:/sbin:/usr/bin:/usr/sbin:/usr/X11R6/bin"

// svscanboot starts svscan on a root, /service unless an argument names another, with an environment
// that holds nothing but a PATH, and with its messages in the command line of a readproctitle. First
// it takes down what an earlier instance may have left running.
//
// It becomes svscan itself, so that who started it can signal svscan and sees its end; readproctitle
// is a child of it and ends when the last process has closed the pipe.
func svscanboot(c *call) int {
	root := "/service"
	switch len(c.args) {
	case 0:
	case 1:
		root = c.args[0]
	default:
		return c.usage("svscanboot: usage: svscanboot [root]")
	}
	if err := c.boot(root); err != nil {
		return c.fatal("svscanboot", "unable to start svscan "+root, err)
	}
	return exitOK
}

// boot returns only if it fails.
func (c *call) boot(root string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	null, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	quiet := *c
	quiet.stderr = io.Discard
	quiet.control(leftServices(root), []byte("dx"))

	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		return err
	}
	env := []string{"PATH=" + bootPath}
	dots := strings.Repeat(".", 400)
	_, err = syscall.ForkExec(self, []string{"readproctitle", "service", "errors:", dots}, &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{uintptr(pipe[0]), uintptr(null), uintptr(null)},
	})
	if err != nil {
		return err
	}
	for fd, as := range []int{null, pipe[1], pipe[1]} {
		if err := syscall.Dup3(as, fd, 0); err != nil {
			return err
		}
	}
	return syscall.Exec(self, []string{"svscan", root}, env)
}

// leftServices are root/* and root/*/log, as a shell expands them.
func leftServices(root string) (dirs []string) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil // svscan says why
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			dirs = append(dirs, root+"/"+e.Name())
		}
	}
	for _, d := range dirs[:len(dirs):len(dirs)] {
		dirs = append(dirs, d+"/log")
	}
	return dirs
}
