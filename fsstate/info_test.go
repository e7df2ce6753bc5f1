package fsstate_test

import (
	"reflect"
	"strings"
	"testing"

	"upkeep/fsstate"
	"upkeep/tai64"
)

func fullInfo() fsstate.Info {
	return fsstate.Info{
		Format: fsstate.FormatEncore,
		Pid:    4711,
		Phase:  "waiting",
		Want:   new(fsstate.WantOnce),
		Starts: new(3),
		Code:   new(0),
		Signal: new(9),
		Ended:  &tai64.Label{Sec: 1<<62 + 10, Nano: 500},
		Cause:  "cannot start ./run: permission denied",
		Note:   "100 % = \tä\n",
	}
}

func TestInfoLine(t *testing.T) {
	want := "v=1 format=encore pid=4711 phase=waiting want=once starts=3 code=0 signal=9" +
		" ended=400000000000000a000001f4" +
		" cause=cannot%20start%20./run:%20permission%20denied note=100%20%25%20%3D%20%09ä%0A\n"
	if got := string(fullInfo().Append(nil)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := string(fsstate.Info{}.Append([]byte("x"))); got != "xv=1 format=runit\n" {
		t.Errorf("empty: %q", got)
	}
}

func TestInfoAndBack(t *testing.T) {
	for _, want := range []fsstate.Info{{}, fullInfo(), {Phase: "up", Want: new(fsstate.WantUp)},
		{World: "b7 12", Start: 1<<40 + 1, After: 77, Since: &tai64.Label{Sec: 1<<62 + 11}, Leave: true, Term: true, Pause: true, Pace: 30}} {
		got, err := fsstate.ParseInfo(want.Append(nil))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestInfoOfAnotherVersion(t *testing.T) {
	got, err := fsstate.ParseInfo([]byte("boot=5 v=2  pid=7 new%20key=%20 \nsecond line\n"))
	if want := (fsstate.Info{Pid: 7}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("unknown keys: got %+v, %v, want %+v", got, err, want)
	}
}

func TestParseInfoRefuses(t *testing.T) {
	for line, mention := range map[string]string{
		"":                          "newline",
		"v=1 pid=7":                 "newline",
		"\n":                        "version",
		"pid=7\n":                   "version",
		"v=1 pid\n":                 "key=value",
		"v=1 pid=-7\n":              "pid",
		"v=1 pid=4294967296\n":      "pid",
		"v=1 want=sideways\n":       "want",
		"v=1 want=\n":               "want",
		"v=1 format=nosh\n":         "format",
		"v=1 starts=x\n":            "starts",
		"v=1 ended=@40\n":           "ended",
		"v=1 cause=%4\n":            "cause",
		"v=1 cause=%zz\n":           "cause",
		"v=1 cause=%+1\n":           "cause",
		"v=1 signal=1.5\n":          "signal",
		"v=1 code=99999999999999\n": "code",
	} {
		if i, err := fsstate.ParseInfo([]byte(line)); err == nil || !strings.Contains(err.Error(), mention) {
			t.Errorf("%q: %+v, error %v, want one that mentions %s", line, i, err, mention)
		}
	}
}

func FuzzParseInfo(f *testing.F) {
	f.Add(fullInfo().Append(nil))
	f.Add(fsstate.Info{}.Append(nil))
	f.Add([]byte("v=1 cause=%25%00\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := fsstate.ParseInfo(b)
		if err != nil {
			return
		}
		line := i.Append(nil)
		if strings.Count(string(line), "\n") != 1 {
			t.Errorf("%q became more than a line: %q", b, line)
		}
		if back, err := fsstate.ParseInfo(line); err != nil || !reflect.DeepEqual(back, i) {
			t.Errorf("%q became %+v, then %q, then %+v, %v", b, i, line, back, err)
		}
	})
}
