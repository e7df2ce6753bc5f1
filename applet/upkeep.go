package applet

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"time"

	"upkeep/cgroup"
	"upkeep/daemon"
	"upkeep/fsstate"
)

const upkeepUsage = "upkeep: usage: upkeep [--status=runit|encore|daemontools|s6] [--state=DIR]" +
	" [--stop-timeout=TIME] [--prune] [--guard] [--cgroup=auto|off|require|DIR] [ROOT] [-- COMMAND [ARG...]]"

// upkeep is the daemon: it supervises every service directory below ROOT, which is /service unless it
// is given.
func upkeep(c *call) int {
	config, err := parseUpkeep(c.args)
	return c.supervise("upkeep", "/service", config, err)
}

// svscan is the daemon under the name of the one it replaces. As there, no argument means the working
// directory, and further arguments are ignored.
func svscan(c *call) int {
	config, err := parseUpkeep(c.args)
	if err == errManyRoots {
		err = nil
	}
	return c.supervise("svscan", ".", config, err)
}

func (c *call) supervise(program, root string, config daemon.Config, err error) int {
	config.Program, config.StartError = program, startError
	if config.Root == "" {
		config.Root, config.CommandOnly = root, true
	}
	if machine := daemon.OnMachine(); machine != nil {
		machine.Run(config, err) // for good
	}
	if err == nil && config.Guard {
		return daemon.Guard(program, withoutGuard(c.args))
	}
	if errors.Is(err, flag.ErrHelp) {
		e, _ := findHelp(program)
		return c.show(e.String() + "upkeep help lists all commands, upkeep help NAME shows how one is used\n")
	}
	if err != nil {
		c.say(program + ": " + err.Error())
		return c.usage(upkeepUsage)
	}
	code, err := daemon.Run(config)
	var noRoot *daemon.RootError
	switch {
	case program == "svscan" && errors.As(err, &noRoot):
		c.fatal(program, "unable to chdir to "+noRoot.Root, noRoot)
	case err != nil:
		c.say(program + ": fatal: " + err.Error())
	}
	return code
}

// parseUpkeep reads the command line. What follows -- is the main command.
func parseUpkeep(args []string) (daemon.Config, error) {
	var config daemon.Config
	options := flag.NewFlagSet("upkeep", flag.ContinueOnError)
	options.SetOutput(io.Discard)
	options.StringVar(&config.State, "state", "", "")
	options.DurationVar(&config.StopTimeout, "stop-timeout", 9*time.Second, "")
	options.BoolVar(&config.Prune, "prune", false, "")
	options.BoolVar(&config.Guard, "guard", false, "")
	options.Func("status", "", func(name string) (err error) {
		config.Status, err = fsstate.ParseFormat(name)
		return err
	})
	options.Func("cgroup", "", func(value string) (err error) {
		if strings.HasPrefix(value, "/") {
			config.Cgroup, config.CgroupDir = cgroup.Require, value
			return nil
		}
		config.Cgroup, err = cgroup.ParsePolicy(value)
		return err
	})
	if i := slices.Index(args, "--"); i >= 0 {
		args, config.Command = args[:i], args[i+1:]
		if len(config.Command) == 0 {
			return config, errors.New("no command after --")
		}
	}
	if err := options.Parse(args); err != nil {
		return config, err
	}
	if config.StopTimeout <= 0 {
		return config, errors.New("--stop-timeout must be longer than nothing")
	}
	if options.NArg() > 0 {
		config.Root = options.Arg(0)
		if config.Root == "" {
			return config, errors.New("the root has no name")
		}
	}
	if options.NArg() > 1 {
		return config, errManyRoots
	}
	return config, nil
}

// withoutGuard are the arguments of the daemon that a guard runs.
func withoutGuard(args []string) []string {
	n := slices.Index(args, "--")
	if n < 0 {
		n = len(args)
	}
	options := slices.DeleteFunc(slices.Clone(args[:n]), func(a string) bool {
		name, _, _ := strings.Cut(a, "=")
		return name == "--guard" || name == "-guard"
	})
	return append(options, args[n:]...)
}

var errManyRoots = errors.New("more than one root")

// startError is the line of daemontools' supervise for a run that cannot be executed in dir.
func startError(dir string, err error) string {
	return "supervise: fatal: unable to start " + dir + "/run: " + errText(err)
}
