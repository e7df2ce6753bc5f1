// Package cgroup gives each service a control group, so that all it has started can be counted, limited,
// signalled, frozen and killed, whatever it did to get away.
//
// It works on the unified (v2) tree, on hybrid hosts too, where that tree has no controllers but still
// kills, freezes and counts; limits are then applied in the v1 hierarchies that have the controllers.
//
// A Tree is safe for use by many goroutines. A Group belongs to one goroutine at a time; groups of the
// same tree are independent of each other.
package cgroup

import (
	"errors"
	"fmt"
)

// A Policy says how much having cgroups matters.
type Policy int

const (
	Auto    Policy = iota // use them where they can be had
	Off                   // do without
	Require               // do not start without
)

// ParsePolicy reads the name of a policy, as it is given on a command line.
func ParsePolicy(name string) (Policy, error) {
	for p := Auto; p <= Require; p++ {
		if p.String() == name {
			return p, nil
		}
	}
	return Auto, fmt.Errorf("%q is none of auto, off and require", name)
}

func (p Policy) String() string {
	switch p {
	case Off:
		return "off"
	case Require:
		return "require"
	}
	return "auto"
}

// ErrPopulated is what Remove returns for a group in which something lives.
var ErrPopulated = errors.New("still populated")

// An OpError says what failed on which path. Err is a unix.Errno, or wraps one, where the kernel refused.
type OpError struct {
	Op   string
	Path string
	Err  error
}

func (e *OpError) Error() string { return fmt.Sprintf("cannot %s %s: %v", e.Op, e.Path, e.Err) }
func (e *OpError) Unwrap() error { return e.Err }
