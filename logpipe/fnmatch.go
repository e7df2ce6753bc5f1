package logpipe

import "strings"

// fnmatch is fnmatch(3) of the C library without flags, in the C locale: slashes and leading dots are
// ordinary, a backslash quotes. Unlike a C string, a line goes on after a NUL.
//
// Only the last star is ever tried again, so it takes at most len(pattern) × len(line) steps.
func fnmatch(pattern string, line []byte) bool {
	p, l := 0, 0
	star, from := -1, 0 // what follows the last star, and where in the line that was tried
	for {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			star, from = p, l
			continue
		}
		if l == len(line) && p == len(pattern) {
			return true
		}
		if l < len(line) && p < len(pattern) {
			if next, ok := one(pattern, p, line[l]); ok {
				p = next
				l++
				continue
			}
		}
		if star < 0 || from == len(line) {
			return false
		}
		from++
		p, l = star, from
	}
}

// one compares c with the element at p and returns where the next one is.
func one(pattern string, p int, c byte) (next int, ok bool) {
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '\\':
		// One that quotes nothing matches nothing.
		if p+1 == len(pattern) {
			return 0, false
		}
		return p + 2, pattern[p+1] == c
	case '[':
		if next, ok, closed := bracket(pattern, p+1, c); closed {
			return next, ok
		}
	}
	return p + 1, pattern[p] == c
}

// bracket compares c with the bracket expression whose text starts at p. One that is not closed is no
// bracket expression.
func bracket(pattern string, p int, c byte) (next int, ok, closed bool) {
	negated := p < len(pattern) && (pattern[p] == '!' || pattern[p] == '^')
	if negated {
		p++
	}
	matched := false
	for first := true; ; first = false {
		if p >= len(pattern) {
			return 0, false, false
		}
		if pattern[p] == ']' && !first {
			return p + 1, matched != negated, true
		}
		if class, after, ok := cutClass(pattern, p); ok {
			in, known := inClass(class, c)
			if !matched && !known {
				return 0, false, true
			}
			matched = matched || in
			p = after
			continue
		}
		low, after, ok := member(pattern, p)
		if !ok {
			return 0, false, isSymbol(pattern, p)
		}
		high := low
		if after+1 < len(pattern) && pattern[after] == '-' && pattern[after+1] != ']' {
			from := after + 1
			if high, after, ok = member(pattern, from); !ok {
				return 0, false, isSymbol(pattern, from)
			}
		}
		matched = matched || low <= c && c <= high
		p = after
	}
}

// isSymbol tells whether a collating symbol starts at p: [.x.]. The C locale has none of more than one byte,
// and with such a one nothing matches.
func isSymbol(pattern string, p int) bool { return strings.HasPrefix(pattern[p:], "[.") }

// member reads one byte of a bracket expression: itself, quoted, or as [.x.] or [=x=].
func member(pattern string, p int) (c byte, after int, ok bool) {
	if pattern[p] == '\\' {
		if p+1 == len(pattern) {
			return 0, 0, false
		}
		return pattern[p+1], p + 2, true
	}
	rest := pattern[p:]
	if len(rest) >= 5 && rest[0] == '[' && (rest[1] == '.' || rest[1] == '=') && rest[3] == rest[1] && rest[4] == ']' {
		return rest[2], p + 5, true
	}
	if isSymbol(pattern, p) {
		return 0, 0, false
	}
	return pattern[p], p + 1, true
}

// cutClass reads a character class, [:name:].
func cutClass(pattern string, p int) (name string, after int, ok bool) {
	rest, found := strings.CutPrefix(pattern[p:], "[:")
	if !found {
		return "", 0, false
	}
	name, _, found = strings.Cut(rest, ":]")
	if !found || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") != "" {
		return "", 0, false
	}
	return name, p + len("[:") + len(name) + len(":]"), true
}

// inClass tells whether c is in a class as the C locale has it, and whether there is such a class.
func inClass(name string, c byte) (in, known bool) {
	upper, lower, digit := 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9'
	graph := '!' <= c && c <= '~'
	switch name {
	case "alnum":
		return upper || lower || digit, true
	case "alpha":
		return upper || lower, true
	case "blank":
		return c == ' ' || c == '\t', true
	case "cntrl":
		return c < ' ' || c == 0x7f, true
	case "digit":
		return digit, true
	case "graph":
		return graph, true
	case "lower":
		return lower, true
	case "print":
		return graph || c == ' ', true
	case "punct":
		return graph && !upper && !lower && !digit, true
	case "space":
		return c == ' ' || '\t' <= c && c <= '\r', true
	case "upper":
		return upper, true
	case "xdigit":
		return digit || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f', true
	}
	return false, false
}
