package fsstate

import (
	"path/filepath"

	"golang.org/x/sys/unix"

	"upkeep/tai64"
)

// A Death is one entry of supervise/death_tally, by which s6-svdt and s6-permafailon tell how a service
// has ended lately: 14 bytes, the oldest entry first.
type Death struct {
	At     tai64.Label
	Status unix.WaitStatus
}

const deathSize = tai64.Size + 2

// Append appends the entry: the label, the exit code (128 and the signal's number for a death by one),
// and the signal's number or 0.
func (d Death) Append(dst []byte) []byte {
	dst = d.At.Append(dst)
	if d.Status.Signaled() {
		s := byte(d.Status.Signal())
		return append(dst, 128+s, s)
	}
	return append(dst, byte(d.Status.ExitStatus()), 0)
}

// AppendDeath appends an entry to a tally of which the last most are kept.
func AppendDeath(tally []byte, d Death, most int) []byte {
	tally = d.Append(tally)
	if over := len(tally) - most*deathSize; over > 0 {
		tally = append(tally[:0], tally[over:]...)
	}
	return tally
}

// ReadTally reads supervise/death_tally, of which the last most entries count, or nothing where it makes no sense.
func (d *Dir) ReadTally(most int) []byte {
	tally, err := readShort(filepath.Join(d.super, "death_tally"))
	if err != nil || len(tally)%deathSize != 0 {
		return nil
	}
	return tally[max(0, len(tally)-most*deathSize):]
}

// WriteTally replaces supervise/death_tally as a whole.
func (d *Dir) WriteTally(tally []byte) error {
	super, err := d.hold()
	if err != nil {
		return err
	}
	defer unix.Close(super)
	return d.replace(super, "death_tally", tally)
}
