package applet

import "syscall"

// pgrphack runs a program in a session and a process group of its own. A process that leads a group already
// stays where it is.
func pgrphack(c *call) int {
	if len(c.args) == 0 {
		return c.usage("pgrphack: usage: pgrphack child")
	}
	syscall.Setsid()
	return c.chain("pgrphack", c.args, environ())
}
