package applet

import (
	"bytes"
	"strings"
)

// envini runs a program with the variables of an ini file. A file that isn't there counts as empty, and
// wrong usage is 111, too. The command is daemontools-encore's.
func envini(c *call) int {
	const usage = "envini: usage: envini [ -p prefix ] inifile child"
	prefix, operands, ok := prefixOption(c)
	if !ok || len(operands) < 2 {
		c.usage(usage)
		return exitTemporary
	}
	content, _, err := readAll(operands[0])
	if err != nil {
		return c.fatal("envini", "unable to read "+operands[0], err)
	}
	return c.chain("envini", operands[1:], changed(environ(), iniChanges(prefix, content)))
}

// iniChanges are the changes that an ini file stands for: of each line "name = value" one, with prefix and
// the section before its name. All other lines are ignored. What follows a NUL is lost, as in
// daemontools-encore, since no variable can hold one.
func iniChanges(prefix string, content []byte) (changes []string) {
	const blanks = " \t\r"
	section := ""
	for line := range bytes.SplitSeq(content, []byte("\n")) {
		text := strings.Trim(string(line), blanks)
		switch {
		case text == "", text[0] == ';':
		case text[0] == '[' && text[len(text)-1] == ']':
			section = text[1:len(text)-1] + "_"
		default:
			end := strings.IndexAny(text, "="+blanks)
			if end < 0 {
				continue
			}
			name := text[:end]
			value, ok := strings.CutPrefix(strings.TrimLeft(text[end:], blanks), "=")
			if !ok {
				continue
			}
			name, _, _ = strings.Cut(prefix+section+name, "\x00")
			value, _, _ = strings.Cut(strings.TrimLeft(value, blanks), "\x00")
			changes = append(changes, name+"="+value)
		}
	}
	return changes
}
