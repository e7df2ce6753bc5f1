package logpipe

import "bytes"

// A pattern is compared with the whole of a line, of which it sees the first lineHead bytes.
type pattern struct {
	text  string
	shell bool // fnmatch(3) in place of multilog's own rules
}

func (p pattern) matches(line []byte) bool {
	if p.shell {
		return fnmatch(p.text, line)
	}
	return match(p.text, line)
}

// match follows multilog's rules. A star at the end takes all that is left; any other takes what comes
// before the first byte like the one after the star, and never more: "*ab" does not match "aab". All
// other bytes stand for themselves.
func match(pattern string, line []byte) bool {
	for i := range len(pattern) {
		if pattern[i] != '*' {
			if len(line) == 0 || line[0] != pattern[i] {
				return false
			}
			line = line[1:]
			continue
		}
		if i+1 == len(pattern) {
			return true
		}
		skip := bytes.IndexByte(line, pattern[i+1])
		if skip < 0 {
			return false
		}
		line = line[skip:]
	}
	return len(line) == 0
}
