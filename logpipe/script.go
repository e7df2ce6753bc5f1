package logpipe

// A Script says what a Log does with each line. It is the language of multilog, with what
// daemontools-encore (F S w, larger sizes) and daemontoolsx (T) added to it.
type Script struct {
	stamp       stamp
	actions     []action
	directories []settings
	statusFiles []string
}

// An action is one step of the way of a line through the script.
type action struct {
	verb    verb
	pattern pattern // of selects and deselects
	index   int     // in the Script's directories or statusFiles
}

type verb uint8

const (
	selects   verb = iota // +PATTERN
	deselects             // -PATTERN
	alerts                // e
	shows                 // =FILE
	keeps                 // DIR
)

// settings are those of one log directory.
type settings struct {
	path      string
	size      int64   // current grows no longer
	number    int     // of old files there is one less
	processor *string // for /bin/sh, or nil
	code      string  // the last part of the name of a finished file
}

const (
	defaultSize   = 99999
	minSize       = 4096
	maxSize       = 2147483647 // daemontools has 16777215
	defaultNumber = 10
	minNumber     = 2
)

// ParseScript reads a script, one action per argument. There is no wrong script: like multilog, it
// ignores what it does not know, and limits numbers to what makes sense.
//
// A pattern is read by the rules that the last F or S left of it has set, for every line.
// daemontools-encore lets an F act on the patterns left of it, from the second line on.
func ParseScript(args []string) Script {
	var s Script
	next := settings{size: defaultSize, number: defaultNumber, code: "s"}
	var shell bool
	for i, arg := range args {
		if arg == "" {
			continue
		}
		rest := arg[1:]
		switch arg[0] {
		case 't':
			if i == 0 {
				s.stamp = labels
			}
		case 'T':
			if i == 0 {
				s.stamp = fractions
			}
		case '+':
			s.actions = append(s.actions, action{verb: selects, pattern: pattern{rest, shell}})
		case '-':
			s.actions = append(s.actions, action{verb: deselects, pattern: pattern{rest, shell}})
		case 'F':
			shell = true
		case 'S':
			shell = false
		case 'e':
			s.actions = append(s.actions, action{verb: alerts})
		case '=':
			s.actions = append(s.actions, action{verb: shows, index: len(s.statusFiles)})
			s.statusFiles = append(s.statusFiles, rest)
		case 's':
			next.size = number(rest, minSize, maxSize)
		case 'n':
			next.number = int(number(rest, minNumber, maxSize))
		case '!':
			next.processor = &rest
		case 'w':
			next.code = rest
		case '.', '/':
			s.actions = append(s.actions, action{verb: keeps, index: len(s.directories)})
			next.path = arg
			s.directories = append(s.directories, next)
		}
	}
	return s
}

// unconditional tells whether every line goes to every directory, and nowhere else.
func (s *Script) unconditional() bool {
	for _, a := range s.actions {
		if a.verb != keeps {
			return false
		}
	}
	return true
}

// number reads the digits that text starts with, none of which make 0.
func number(text string, least, most int64) int64 {
	var n int64
	for i := 0; i < len(text) && '0' <= text[i] && text[i] <= '9'; i++ {
		n = min(n*10+int64(text[i]-'0'), most)
	}
	return max(n, least)
}
