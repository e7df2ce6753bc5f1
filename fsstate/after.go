package fsstate

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// afterMax is the size of the largest file that is read.
const afterMax = 64 << 10

// after reads the file of that name: services of the same root that are to be up, or ready where they
// say when they are, before this one is started. Each has a line of its own. Blanks around a name are
// no part of it; empty lines and lines that begin with # count for nothing, as does a name's second
// mention.
func (l *listing) after(bad *problems) []string {
	if !l.there.has(fileAfter) {
		return nil
	}
	text, err := l.read(fileAfter, make([]byte, afterMax+1))
	switch {
	case err == unix.ENOENT:
		return nil
	case err != nil:
		bad.add(fileAfter, "the start waits for nothing", "cannot be read: %v", err)
		return nil
	case len(text) > afterMax:
		bad.add(fileAfter, "the start waits for nothing", "is longer than %d bytes", afterMax)
		return nil
	}
	names, wrong := parseAfter(text)
	for _, line := range wrong {
		bad.add(fileAfter, "that line counts for nothing", "holds %.255q, which is no name of a service", line)
	}
	return names
}

// wrongLines is how many lines of one file are worth reporting.
const wrongLines = 3

func parseAfter(text []byte) (names []string, wrong [][]byte) {
	seen := make(map[string]bool)
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0, line[0] == '#':
		case line[0] == '.', len(line) > unix.NAME_MAX, bytes.ContainsAny(line, "/\x00"):
			if len(wrong) < wrongLines {
				wrong = append(wrong, line)
			}
		case !seen[string(line)]:
			seen[string(line)] = true
			names = append(names, string(line))
		}
	}
	return names, wrong
}
