package fsstate

import (
	"encoding/binary"
	"errors"
	"fmt"

	"upkeep/tai64"
)

// A Format is a layout of supervise/status. All of them agree on the first 18 bytes:
//
//	0–11   TAI64N label of the last start or end of the process
//	12–15  pid, little-endian, 0 while there is none
//	16     1 if paused
//	17     what is wanted, a Want
//
// A daemontools-encore file with a log script holds a second block, the log process's, at byte 20.
//
// s6's own file has 35 bytes, in which its tools look at the label and at the last eleven:
//
//	24–31  pid, big-endian
//	32–33  wait status of the last run, big-endian
//	34     1 paused, 2 finish runs, 4 wanted up, 8 ready, or down and to be started at any time
//
// So FormatS6 is read by all tools of the family, and by s6's. What it has no room for is the time at
// which the service became ready. s6 counts TAI seconds with leap seconds and the family without, so what
// s6-svstat says since when is 27 seconds too long.
type Format byte

const (
	FormatRunit       Format = iota // 20 bytes: 18 is 1 after a TERM until the end, 19 is a Phase
	FormatEncore                    // 20 bytes: 18 is an EncoreState, 19 is 0
	FormatDaemontools               // 18 bytes
	FormatS6                        // 35 bytes: runit's, 4 that are 0, s6's
)

var formatNames = [...]string{
	FormatRunit: "runit", FormatEncore: "encore", FormatDaemontools: "daemontools", FormatS6: "s6",
}

// ParseFormat finds a format by its name: "runit", "encore", "daemontools" or "s6".
func ParseFormat(name string) (Format, error) {
	for f, n := range formatNames {
		if n == name {
			return Format(f), nil
		}
	}
	return 0, fmt.Errorf("unknown status format %q: want runit, encore, daemontools or s6", name)
}

func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return fmt.Sprintf("Format(%d)", byte(f))
}

// A Want is what the administrator asked for, byte 17. A file can hold other values.
type Want byte

const (
	WantOnce Want = 0
	WantUp   Want = 'u'
	WantDown Want = 'd'
)

// A Phase is runit's byte 19: which script the pid belongs to.
type Phase byte

const (
	PhaseDown Phase = iota
	PhaseRun
	PhaseFinish
)

// An EncoreState is daemontools-encore's byte 18.
type EncoreState byte

const (
	EncoreStopped EncoreState = iota
	EncoreStarting
	EncoreStarted // the start script succeeded and there is no run
	EncoreRunning
	EncoreStopping
	EncoreFailed
)

// String returns the word that daemontools-encore's svstat prints, "status unknown" for a state that
// it does not know.
func (s EncoreState) String() string {
	switch s {
	case EncoreStopped:
		return "stopped"
	case EncoreStarting:
		return "starting"
	case EncoreStarted:
		return "started"
	case EncoreRunning:
		return "running"
	case EncoreStopping:
		return "stopping"
	case EncoreFailed:
		return "failed"
	}
	return "status unknown"
}

const (
	statusMin  = 18 // what every format has
	statusSize = 20
	s6Size     = 35
)

// StatusFileSize is the most that a reader needs of a status file: two blocks of 20 bytes.
const StatusFileSize = 2 * statusSize

// A Status is one process's block of supervise/status.
type Status struct {
	Since  tai64.Label
	Pid    int // 0 while there is no process
	Paused bool
	Want   Want

	// Bytes 18 and 19. A format writes its own; as read from a file GotTerm and State are two readings
	// of byte 18, of which the file's writer means one.
	GotTerm bool
	Phase   Phase
	State   EncoreState

	// What only s6's has: whether the process has said that it is ready, and how the last one ended.
	Ready bool
	Exit  uint16 // as wait(2) says it
}

// Append appends the block in a format. Without a process Paused is written as 0, as the original does.
func (s Status) Append(dst []byte, f Format) []byte {
	dst = s.Since.Append(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(s.Pid))
	dst = append(dst, bit(s.Paused && s.Pid != 0), byte(s.Want))
	switch f {
	case FormatRunit:
		dst = append(dst, bit(s.GotTerm), byte(s.Phase))
	case FormatEncore:
		dst = append(dst, byte(s.State), 0)
	case FormatS6:
		dst = append(dst, bit(s.GotTerm), byte(s.Phase), 0, 0, 0, 0)
		dst = binary.BigEndian.AppendUint64(dst, uint64(s.Pid))
		dst = binary.BigEndian.AppendUint16(dst, s.Exit)
		dst = append(dst, s.s6Flags())
	}
	return dst
}

// What the bits of s6's last byte mean.
const (
	s6Paused    = 1
	s6Finishing = 2
	s6WantUp    = 4
	s6Ready     = 8
)

func (s Status) s6Flags() (flags byte) {
	if s.Paused && s.Pid != 0 {
		flags |= s6Paused
	}
	if s.Phase == PhaseFinish {
		flags |= s6Finishing
	}
	if s.Want == WantUp {
		flags |= s6WantUp
	}
	if s.Ready || s.Pid == 0 {
		flags |= s6Ready
	}
	return flags
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

var errBadFormat = errors.New("bad format")

// ParseStatus reads the first block of a status file: 18 bytes of daemontools, 35 of s6's, or 20 or more
// of which those after the 20th are not looked at. Fewer than 18 are the error "bad format". Bytes that
// are missing are taken as 0.
func ParseStatus(b []byte) (Status, error) {
	if len(b) < statusMin {
		return Status{}, errBadFormat
	}
	var block [statusSize]byte
	copy(block[:], b)
	since, _ := tai64.Unpack(block[:tai64.Size])
	s := Status{
		Since:   since,
		Pid:     int(binary.LittleEndian.Uint32(block[12:])),
		Paused:  block[16] != 0,
		Want:    Want(block[17]),
		GotTerm: block[18] == 1,
		Phase:   Phase(block[19]),
		State:   EncoreState(block[18]),
	}
	if len(b) == s6Size {
		s.parseS6(b)
	}
	return s, nil
}

// s6TimeAsPid is what stands in the place of the family's pid in a file that s6-supervise itself has
// written: the upper half of a time.
const s6TimeAsPid = 0x40

// parseS6 takes what s6 has to say. In a file of its own that is all there is.
func (s *Status) parseS6(b []byte) {
	flags := b[s6Size-1]
	s.Exit = binary.BigEndian.Uint16(b[32:])
	pid := int(uint32(binary.BigEndian.Uint64(b[24:])))
	if s.Pid == s6TimeAsPid && pid != s6TimeAsPid {
		*s = Status{Since: s.Since, Exit: s.Exit, Pid: pid, Paused: flags&s6Paused != 0, Want: WantDown}
		if flags&s6WantUp != 0 {
			s.Want = WantUp
		}
		switch {
		case flags&s6Finishing != 0:
			s.Phase = PhaseFinish
		case pid != 0:
			s.Phase = PhaseRun
		}
	}
	s.Ready = flags&s6Ready != 0 && s.Pid != 0
}

// LogBlock returns the second block of a daemontools-encore status file, for ParseStatus, or nil where
// the file is too short for one.
func LogBlock(b []byte) []byte {
	if len(b) < statusSize+statusMin {
		return nil
	}
	return b[statusSize:]
}

// HasState tells whether a block reaches byte 18.
func HasState(block []byte) bool { return len(block) > statusMin }

// IsEncore tells whether a status file is in daemontools-encore's format, so that byte 18 is a state
// and a second block may follow. The bytes alone don't say so for a service that is down. resume is
// what supervise/resume holds, nil if there is none; runsv tells whether there is a supervise/stat, a
// file that only runit's runsv writes.
//
// A file of 18 or 35 bytes is not encore's, nor one whose byte 19 is not 0. Of the rest, upkeep's is what
// resume says, and any other is encore's unless runsv left its stat.
func IsEncore(b []byte, resume *Info, runsv bool) bool {
	switch {
	case !HasState(b), len(b) == s6Size, len(b) >= statusSize && b[statusSize-1] != 0:
		return false
	case resume != nil:
		return resume.Format == FormatEncore
	}
	return !runsv
}
