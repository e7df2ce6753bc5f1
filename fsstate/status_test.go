package fsstate_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"upkeep/fsstate"
	"upkeep/tai64"
)

const sinceHex = "400000006b029ea222fe5dcc"

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Files observed from daemontools, daemontools-encore and runit; bytes 0–11 are sinceHex.
var statusFiles = []struct {
	tail   string // bytes 12 and on
	format fsstate.Format
	status fsstate.Status
}{
	{"952e0000 00 75", fsstate.FormatDaemontools, fsstate.Status{Pid: 11925, Want: fsstate.WantUp}},
	{"00000000 00 64", fsstate.FormatDaemontools, fsstate.Status{Want: fsstate.WantDown}},
	{"aa2e0000 00 00", fsstate.FormatDaemontools, fsstate.Status{Pid: 11946, Want: fsstate.WantOnce}},
	{"2b410000 01 75 03 00", fsstate.FormatEncore, fsstate.Status{Pid: 16683, Paused: true, Want: fsstate.WantUp, State: fsstate.EncoreRunning}},
	{"c4410000 00 64 00 00", fsstate.FormatEncore, fsstate.Status{Pid: 16836, Want: fsstate.WantDown, State: fsstate.EncoreStopped}},
	{"00000000 00 64 05 00", fsstate.FormatEncore, fsstate.Status{Want: fsstate.WantDown, State: fsstate.EncoreFailed}},
	{"9e490000 00 64 00 02", fsstate.FormatRunit, fsstate.Status{Pid: 18846, Want: fsstate.WantDown, Phase: fsstate.PhaseFinish}},
	{"9e490000 00 75 01 01", fsstate.FormatRunit, fsstate.Status{Pid: 18846, Want: fsstate.WantUp, Phase: fsstate.PhaseRun, GotTerm: true, State: 1}},
}

func TestStatusFiles(t *testing.T) {
	since, _ := tai64.Parse("@" + sinceHex)
	for _, c := range statusFiles {
		file := unhex(t, sinceHex+c.tail)
		want := c.status
		want.Since = since
		if c.format == fsstate.FormatEncore {
			want.GotTerm = want.State == fsstate.EncoreStarting
		}
		got, err := fsstate.ParseStatus(file)
		if err != nil || got != want {
			t.Errorf("% x: got %+v, %v, want %+v", file, got, err, want)
		}
		if written := got.Append([]byte("x"), c.format); !bytes.Equal(written[1:], file) {
			t.Errorf("%v: wrote % x, want % x", c.format, written[1:], file)
		}
	}
}

func TestStatusPausedNeedsAProcess(t *testing.T) {
	for _, f := range []fsstate.Format{fsstate.FormatRunit, fsstate.FormatEncore, fsstate.FormatDaemontools} {
		if b := (fsstate.Status{Paused: true}).Append(nil, f); b[16] != 0 {
			t.Errorf("%v: a service without a process is written as paused: % x", f, b)
		}
		if b := (fsstate.Status{Paused: true, Pid: 1}).Append(nil, f); b[16] != 1 {
			t.Errorf("%v: a paused process is written as % x", f, b)
		}
	}
}

func TestStatusLengths(t *testing.T) {
	whole := bytes.Repeat([]byte{3}, 60)
	for n := range whole {
		s, err := fsstate.ParseStatus(whole[:n])
		if n < 18 {
			if err == nil || err.Error() != "bad format" {
				t.Errorf("%d bytes: error %v, want bad format", n, err)
			}
			continue
		}
		if err != nil || s.Pid != 0x03030303 {
			t.Errorf("%d bytes: %+v, %v", n, s, err)
		}
		if got, want := s.State != 0, n > 18; got != want {
			t.Errorf("%d bytes: byte 18 was seen: %v", n, got)
		}
		if log := fsstate.LogBlock(whole[:n]); n < 38 && log != nil || n >= 38 && len(log) != n-20 {
			t.Errorf("%d bytes: log block % x", n, log)
		}
	}
}

func TestIsEncore(t *testing.T) {
	ours := &fsstate.Info{}
	oursAsEncore := &fsstate.Info{Format: fsstate.FormatEncore}
	for _, c := range []struct {
		what   string
		tail   string
		resume *fsstate.Info
		runsv  bool
		want   bool
	}{
		{"daemontools", "952e0000 00 75", nil, false, false},
		{"encore, up", "2b410000 00 75 03 00", nil, false, true},
		{"encore, stopped", "00000000 00 64 00 00", nil, false, true},
		{"encore of 19 bytes", "00000000 00 64 00", nil, false, true},
		{"runsv, up", "9e490000 00 75 00 01", nil, true, false},
		{"runsv, down", "00000000 00 64 00 00", nil, true, false},
		{"upkeep, up", "9e490000 00 75 00 01", ours, false, false},
		{"upkeep, down", "00000000 00 64 00 00", ours, false, false},
		{"upkeep, down, where runsv was before", "00000000 00 64 00 00", ours, true, false},
		{"upkeep as encore, up", "9e490000 00 75 03 00", oursAsEncore, false, true},
		{"upkeep as encore, down, where runsv was before", "00000000 00 64 00 00", oursAsEncore, true, true},
		{"runsv, up, where upkeep was before as encore", "9e490000 00 75 00 01", oursAsEncore, true, false},
	} {
		if got := fsstate.IsEncore(unhex(t, sinceHex+c.tail), c.resume, c.runsv); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

func TestParseFormat(t *testing.T) {
	for _, name := range []string{"runit", "encore", "daemontools", "s6"} {
		f, err := fsstate.ParseFormat(name)
		if err != nil || f.String() != name {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	for _, name := range []string{"", "Runit", "S6", "runit "} {
		if f, err := fsstate.ParseFormat(name); err == nil {
			t.Errorf("%q was taken for %v", name, f)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	for _, c := range statusFiles {
		f.Add(unhex(f, sinceHex+c.tail))
	}
	f.Add([]byte{})
	f.Add(make([]byte, 40))
	f.Add(append(unhex(f, sinceHex+"40000000"), make([]byte, 19)...))
	f.Add(fsstate.Status{Pid: 7, Exit: 9}.Append(nil, fsstate.FormatS6))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := fsstate.ParseStatus(b)
		if (err != nil) != (len(b) < 18) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err != nil {
			return
		}
		if len(b) == 35 && bytes.Equal(b[12:16], []byte{0x40, 0, 0, 0}) {
			return // s6's own has a time there
		}
		for _, format := range []fsstate.Format{fsstate.FormatRunit, fsstate.FormatEncore, fsstate.FormatDaemontools, fsstate.FormatS6} {
			written := s.Append(nil, format)
			if !bytes.Equal(written[:16], b[:16]) || written[17] != b[17] {
				t.Errorf("%v: % x came back as % x", format, b, written)
			}
		}
		_ = s.State.String()
		fsstate.IsEncore(b, nil, false)
		if log := fsstate.LogBlock(b); log != nil {
			if _, err := fsstate.ParseStatus(log); err != nil {
				t.Errorf("log block of %d bytes: %v", len(b), err)
			}
		}
	})
}
