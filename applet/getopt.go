package applet

import (
	"fmt"
	"io"
	"strings"
)

// A getopt parses options as the daemontools family does: letters may be bundled, the first word that
// does not start with "-" ends the options, so does a lone "-", which is an operand, and so does "--",
// which is not. An option's value is the rest of its word or, if that is empty, the next word.
//
// One rule is ours: a word such as "--down" is an illegal option. The originals take whatever starts
// with "--" for a "--" and go on without a word.
type getopt struct {
	prog    string    // how a diagnostic names the program: argv[0] after its last slash
	letters string    // the options; one that is followed by ":" has a value
	args    []string  // what is not parsed yet; the operands after the last option
	stderr  io.Writer // gets one line about a wrong option

	rest string // the letters of the current word that are still to come
}

// badOption is what next returns for a letter that is no option or lacks its value.
const badOption = '?'

// next returns the next option and its value. ok is false when there is none left. A wrong option has
// been reported when next returns badOption for it; the caller prints its usage.
func (g *getopt) next() (letter byte, value string, ok bool) {
	if g.rest == "" {
		if len(g.args) == 0 || len(g.args[0]) < 2 || g.args[0][0] != '-' {
			return 0, "", false
		}
		word := g.args[0]
		g.args = g.args[1:]
		if word == "--" {
			return 0, "", false
		}
		g.rest = word[1:]
	}
	letter, g.rest = g.rest[0], g.rest[1:]
	i := strings.IndexByte(g.letters, letter)
	if letter == ':' || i < 0 {
		return g.bad("illegal option", letter)
	}
	if !strings.HasPrefix(g.letters[i+1:], ":") {
		return letter, "", true
	}
	value, g.rest = g.rest, ""
	if value == "" {
		if len(g.args) == 0 {
			return g.bad("option requires an argument", letter)
		}
		value, g.args = g.args[0], g.args[1:]
	}
	return letter, value, true
}

func (g *getopt) bad(what string, letter byte) (byte, string, bool) {
	fmt.Fprintf(g.stderr, "%s: %s -- %s\n", g.prog, what, []byte{letter})
	return badOption, "", true
}
