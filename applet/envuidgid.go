package applet

// envuidgid runs a program with the ids of an account in UID and GID. It changes no id itself.
func envuidgid(c *call) int {
	if len(c.args) < 2 {
		return c.usage("envuidgid: usage: envuidgid account child")
	}
	a, ok := lookupAccount(c.args[0])
	if !ok {
		return c.unknownAccount("envuidgid", c.args[0])
	}
	return c.chain("envuidgid", c.args[1:], changed(environ(), idChanges(a)))
}
