package applet

// setuidgid runs a program with the ids of an account. It gives up all supplementary groups, or with -s,
// which is daemontools-encore's, takes those of the account.
func setuidgid(c *call) int {
	const usage = "setuidgid: usage: setuidgid [-s] account child"
	g := &getopt{prog: c.argv0, letters: "s", args: c.args, stderr: c.stderr}
	supplementary := false
	for {
		letter, _, ok := g.next()
		if !ok {
			break
		}
		if letter == badOption {
			return c.usage(usage)
		}
		supplementary = true
	}
	if len(g.args) < 2 {
		return c.usage(usage)
	}
	a, ok := lookupAccount(g.args[0])
	if !ok {
		return c.unknownAccount("setuidgid", g.args[0])
	}
	if text, err := become(a, supplementary); err != nil {
		return c.fatal("setuidgid", text, err)
	}
	return c.chain("setuidgid", g.args[1:], environ())
}
