package fsstate

import "fmt"

// A Severity says how much a Finding matters.
type Severity uint8

const (
	Note    Severity = iota // worth knowing
	Warning                 // something does not do what its author meant
	Fault                   // something cannot be run
)

func (s Severity) String() string {
	switch s {
	case Note:
		return "note"
	case Warning:
		return "warning"
	}
	return "error"
}

// A Finding is something that is remarkable about a file.
type Finding struct {
	Severity Severity
	File     string // its name in the directory, or "" where it is about the directory itself
	Text     string // to be read after that name
}

// findings collects them.
type findings []Finding

func (f *findings) add(s Severity, file, format string, args ...any) {
	*f = append(*f, Finding{s, file, fmt.Sprintf(format, args...)})
}
