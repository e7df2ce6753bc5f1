package applet

import "syscall"

// svok tells by its exit code whether a service is supervised: 0 or 100, and 111 where it can't tell.
func svok(c *call) int {
	if len(c.args) == 0 {
		return c.usage("svok: usage: svok dir")
	}
	dir := c.args[0]
	if err := syscall.Chdir(dir); err != nil {
		return c.fatal("svok", "unable to chdir to "+dir, err)
	}
	name, err := superviseName()
	if err != nil {
		return c.fatal("svok", "unable to setup control path for "+dir, err)
	}
	switch err := hasReader(name + "/ok"); err {
	case nil:
		return exitOK
	case syscall.ENOENT, syscall.ENXIO:
		return exitPermanent
	default:
		return c.fatal("svok", "unable to open "+name+"/ok", err)
	}
}
