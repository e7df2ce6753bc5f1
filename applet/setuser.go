package applet

import "syscall"

// setuser runs a program as an account: in its home directory, with its ids, all its groups and its
// environment. daemontools-encore's setuser promises the environment and then doesn't hand it on.
func setuser(c *call) int {
	if len(c.args) < 2 {
		return c.usage("setuser: usage: setuser account child")
	}
	a, ok := lookupAccount(c.args[0])
	if !ok {
		return c.unknownAccount("setuser", c.args[0])
	}
	changes := append([]string{"HOME=" + a.home, "SHELL=" + a.shell, "USER=" + a.name}, idChanges(a)...)
	if err := syscall.Chdir(a.home); err != nil {
		return c.fatal("setuser", "unable to chdir to "+a.home, err)
	}
	if text, err := become(a, true); err != nil {
		return c.fatal("setuser", text, err)
	}
	return c.chain("setuser", c.args[1:], changed(environ(), changes))
}
