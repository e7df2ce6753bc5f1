package container_test

import (
	"strings"
	"testing"
)

// TestCommand: upkeep in tini's place ends with the exit code of its command.
func TestCommand(t *testing.T) {
	t.Parallel()
	e := needEngine(t)
	for _, test := range []struct {
		name    string
		options []string
		command []string
		code    int
		says    []string // words of the one line that upkeep says
	}{
		{"success", nil, []string{"/server", "exit", "0"}, 0, nil},
		{"failure", nil, []string{"/server", "exit", "7"}, 7, nil},
		{"KILL", nil, []string{"/server", "raise", "9"}, 128 + 9, nil},
		{"TERM", nil, []string{"/server", "raise", "15"}, 128 + 15, nil},
		{"read-only root", []string{"--read-only", "--user=65534", "--cap-drop=ALL"}, []string{"/server", "exit", "7"}, 7, nil},
		{"not PID 1", []string{"--init"}, []string{"/server", "raise", "9"}, 128 + 9, nil},
		{"missing", nil, []string{"/nonexistent"}, 111, []string{"/nonexistent", "no such file or directory"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			needInit(t, test.options)
			c := e.run(t, test.options, commandImage, test.command...)
			c.ends(test.code)
			says := complaints(c)
			if len(says) > 1 || (len(says) == 1) != (test.says != nil) {
				t.Errorf("upkeep says %q", says)
			}
			for _, word := range test.says {
				if !strings.Contains(c.Output(), word) {
					t.Errorf("it does not say %q", word)
				}
			}
		})
	}
}

// TestCommandStopped: docker stop reaches the command, and its exit code the engine.
func TestCommandStopped(t *testing.T) {
	t.Parallel()
	e := needEngine(t)
	c := e.run(t, nil, commandImage, "/server", "listen")
	says(t, c, "listening", 1)
	c.stop(soon, 5)
	says(t, c, "SIGTERM", 1)
}

// TestForwarding: docker kill reaches the command with every signal but those that are upkeep's own.
func TestForwarding(t *testing.T) {
	t.Parallel()
	e := needEngine(t)
	for name, options := range map[string][]string{"PID 1": nil, "not PID 1": {"--init"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needInit(t, options)
			c := e.run(t, options, commandImage, "/server", "listen")
			says(t, c, "listening", 1)
			for _, s := range []string{"USR2", "WINCH"} {
				c.kill("HUP")
				c.kill(s)
				says(t, c, "SIG"+s, 1)
			}
			c.kill("TERM")
			c.ends(5)
			if n := count(c, "SIGHUP"); n != 0 {
				t.Errorf("HUP was passed on %d times", n)
			}
		})
	}
}

// TestEssential: the end of an essential service is the end of the container, with its exit code.
func TestEssential(t *testing.T) {
	t.Parallel()
	e := needEngine(t)
	for _, test := range []struct {
		name, run string
		code      int
	}{
		{"exit 3", "exec guest exit 3", 3},
		{"KILL", "exec guest raise 9", 128 + 9},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			// Not before the other service is there to be stopped.
			c := e.run(t, append(e.services(t, map[string]string{
				"main/run":       "#!/bin/sh\nuntil [ -e /tmp/up ]; do sleep 0.05; done\n" + test.run + "\n",
				"main/essential": "",
				"web/run":        "#!/bin/sh\ntrap 'echo web TERM; exit' TERM\n: >/tmp/up\nwhile :; do sleep 0.1; done\n",
			}), "--tmpfs=/tmp"), servicesImage)
			c.ends(test.code)
			says(t, c, "web TERM", 1)
		})
	}
}
