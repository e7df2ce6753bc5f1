package applet

import (
	"errors"
	"flag"
	"io"
	"path/filepath"
	"slices"
	"time"

	"upkeep/fsstate"
)

const ctlUsage = "upkeep: usage: upkeep ctl [--state=DIR] status|rescan|upgrade|stop [ROOT]"

// ctlPatience is how long the daemon may take to answer.
const ctlPatience = 30 * time.Second

// ctl gives an order to the daemon of a root, /service unless it is given, and shows its answer.
func ctl(c *call) int {
	options := flag.NewFlagSet("ctl", flag.ContinueOnError)
	options.SetOutput(io.Discard)
	state := options.String("state", "", "")
	if err := options.Parse(c.args); err != nil || options.NArg() < 1 || options.NArg() > 2 ||
		!slices.Contains([]string{"status", "rescan", "upgrade", "stop"}, options.Arg(0)) {
		return c.usage(ctlUsage)
	}
	verb, root := options.Arg(0), options.Arg(1)
	if root == "" {
		root = "/service"
	}
	home := filepath.Join(root, ".upkeep")
	if *state != "" {
		home = filepath.Join(*state, ".upkeep")
	}
	answer, err := fsstate.Ask(home, verb, ctlPatience)
	if err == nil {
		return c.show(answer)
	}
	var refusal *fsstate.Refusal
	switch {
	case err == fsstate.ErrNoDaemon:
		c.say("upkeep: fatal: " + verb + " " + root + ": " + err.Error() + ": nobody listens to " + filepath.Join(home, "control"))
	case errors.As(err, &refusal):
		c.say("upkeep: fatal: " + verb + " " + root + ": refused: " + refusal.Why)
	default:
		c.say("upkeep: fatal: " + verb + " " + root + ": " + err.Error())
	}
	return exitTemporary
}
