package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
)

// cells is the whole behaviour: for each event, what each phase of a service that is wanted up makes of
// it. A cell is the phase that follows if it is another one, the new wish, and the actions.
const cells = `
event       down                     starting                     up                           stopping       waiting
u           starting up rec start    defer                        rec                          up rec         rec
o           starting once rec start  defer                        once rec                     once rec       once rec
d           rec                      defer                        stopping down TERM CONT rec  TERM CONT rec  down down rec
x           gone rec release         defer                        rec                          rec            gone rec release
p           rec                      defer                        rec STOP                     rec STOP       rec
c           rec                      defer                        rec CONT                     rec CONT       rec
h           -                        defer                        HUP                          HUP            -
a           -                        defer                        ALRM                         ALRM           -
i           -                        defer                        INT                          INT            -
t           -                        defer                        TERM rec                     TERM rec       -
k           -                        defer                        KILL                         KILL           -
q           -                        defer                        QUIT                         QUIT           -
1           -                        defer                        USR1                         USR1           -
2           -                        defer                        USR2                         USR2           -
w           -                        defer                        WINCH                        WINCH          -
?           -                        defer                        -                            -              -
started     -                        up rec                       -                            -              -
failed      -                        waiting rec pause            waiting rec pause            down rec       -
died young  -                        -                            waiting rec pause            down rec       -
died old    -                        -                            starting start               down rec       -
pause over  -                        -                            -                            -              starting start
overdue     -                        -                            -                            KILL deadline  -
changed     -                        -                            -                            -              -
occupied    -                        clearing rec clear killtree  -                            -              -
emptied     -                        -                            -                            -              -
readied     -                        -                            ready rec                    rec            -
held        -                        waiting rec                  -                            -              -
unheld      -                        -                            -                            -              -
alldone     -                        started once rec             -                            -              -
scripted    rec                      defer                        stopping down TERM CONT rec  TERM CONT rec  down down rec
instead     rec                      defer                        stopping down CONT rec       CONT rec       down down rec
`

// treeCells is the same for a service with a cgroup.
const treeCells = `
event       down                     starting                     up                           stopping         waiting              up, paused                        up, leaving             clearing, leaving  clearing to start
u           starting up rec start    defer                        rec                          up rec           rec                  rec                               up rec                  up rec             rec
o           starting once rec start  defer                        once rec                     once rec         once rec             once rec                          once rec                once rec           once rec
d           rec                      defer                        stopping down TERM CONT rec  TERM CONT rec    down down rec clear  stopping down TERM thaw CONT rec  stopping TERM CONT rec  rec                down rec
x           clearing rec clear       defer                        rec                          rec              clearing rec clear   rec                               rec                     rec                rec
p           rec                      defer                        rec STOP freeze              rec STOP freeze  rec                  rec STOP freeze                   rec STOP freeze         rec                rec
c           rec                      defer                        rec CONT thaw                rec CONT thaw    rec                  rec CONT thaw                     rec CONT thaw           rec                rec
h           -                        defer                        HUP                          HUP              -                    HUP                               HUP                     -                  -
a           -                        defer                        ALRM                         ALRM             -                    ALRM                              ALRM                    -                  -
i           -                        defer                        INT                          INT              -                    INT                               INT                     -                  -
t           -                        defer                        TERM rec                     TERM rec         -                    TERM rec                          TERM rec                -                  -
k           -                        defer                        KILL                         KILL             -                    KILL                              KILL                    killtree           killtree
q           -                        defer                        QUIT                         QUIT             -                    QUIT                              QUIT                    -                  -
1           -                        defer                        USR1                         USR1             -                    USR1                              USR1                    -                  -
2           -                        defer                        USR2                         USR2             -                    USR2                              USR2                    -                  -
w           -                        defer                        WINCH                        WINCH            -                    WINCH                             WINCH                   -                  -
?           -                        defer                        -                            -                -                    -                                 -                       -                  -
started     -                        up rec                       -                            -                -                    -                                 -                       -                  -
failed      -                        waiting rec pause            waiting rec pause            down rec clear   -                    waiting rec thaw pause            clearing rec clear      -                  -
died young  -                        -                            waiting rec pause            down rec clear   -                    waiting rec thaw pause            clearing rec clear      -                  -
died old    -                        -                            starting start               down rec clear   -                    starting thaw start               clearing rec clear      -                  -
pause over  -                        -                            -                            -                starting start       -                                 -                       -                  -
overdue     killtree                 -                            -                            killtree deadline  -                    -                                 -                       killtree           killtree
changed     -                        -                            -                            -                -                    -                                 -                       -                  -
occupied    -                        clearing rec clear killtree  -                            -                -                    -                                 -                       -                  -
emptied     -                        -                            -                            -                -                    -                                 -                       gone rec release   starting start
readied     -                        -                            ready rec                    rec            -                    ready rec                         ready rec               -                  -
held        -                        waiting rec                  -                            -                -                    -                                 -                       -                  -
unheld      -                        -                            -                            -                -                    -                                 -                       -                  -
alldone     -                        started once rec             -                            -                -                    -                                 -                       -                  -
scripted    rec                      defer                        stopping down TERM CONT rec  TERM CONT rec    down down rec clear  stopping down TERM thaw CONT rec  stopping TERM CONT rec  rec                down rec
instead     rec                      defer                        stopping down CONT rec       CONT rec         down down rec clear  stopping down thaw CONT rec       stopping CONT rec       rec                down rec
`

// heldCells is the same for one whose start waits for something else than the time.
const heldCells = `
event       held
u           rec
o           once rec
d           down down rec
x           gone rec release
p           rec
c           rec
h           -
a           -
i           -
t           -
k           -
q           -
1           -
2           -
w           -
?           -
started     -
failed      -
died young  -
died old    -
pause over  -
overdue     -
changed     starting start
occupied    -
emptied     -
readied     -
held        -
unheld      starting start
alldone     -
scripted    down down rec
instead     down down rec
`

// s6Cells is the same where there is a finish of s6's.
const s6Cells = `
event            up                          ready                       stopping          being executed      finishing           finishing, leaving  failed                   waiting
u                rec                         rec                         up rec            defer               rec                 up rec              starting up rec start    starting rec start
o                once rec                    once rec                    once rec          defer               once rec            once rec            starting once rec start  starting once rec start
d                stopping down INT CONT rec  stopping down INT CONT rec  INT CONT rec      defer               down rec            rec                 down rec                 down down rec
x                rec                         rec                         rec               defer               rec                 rec                 gone rec release         gone rec release
p                rec STOP                    rec STOP                    rec STOP          defer               -                   -                   rec                      rec
c                rec CONT                    rec CONT                    rec CONT          defer               -                   -                   rec                      rec
h                HUP                         HUP                         HUP               defer               -                   -                   -                        -
a                ALRM                        ALRM                        ALRM              defer               -                   -                   -                        -
i                INT                         INT                         INT               defer               -                   -                   -                        -
t                TERM rec                    TERM rec                    TERM rec          defer               -                   -                   -                        -
k                KILL                        KILL                        KILL              defer               -                   -                   -                        -
q                QUIT                        QUIT                        QUIT              defer               -                   -                   -                        -
1                USR1                        USR1                        USR1              defer               -                   -                   -                        -
2                USR2                        USR2                        USR2              defer               -                   -                   -                        -
w                WINCH                       WINCH                       WINCH             defer               -                   -                   -                        -
?                -                           -                           -                 defer               -                   -                   -                        -
l                HUP                         HUP                         HUP               defer               -                   -                   -                        -
O                down rec                    down rec                    rec               defer               down rec            rec                 down rec                 down down rec
r                INT                         INT                         INT               defer               -                   -                   -                        -
b                ABRT                        ABRT                        ABRT              defer               -                   -                   -                        -
y                WINCH                       WINCH                       WINCH             defer               -                   -                   -                        -
P                rec STOP                    rec STOP                    rec STOP          defer               -                   -                   rec                      rec
C                rec CONT                    rec CONT                    rec CONT          defer               -                   -                   rec                      rec
K                KILL                        KILL                        KILL              defer               -                   -                   -                        -
started          -                           -                           -                 rec deadline        rec deadline        rec deadline        -                        -
failed           waiting rec pause           waiting rec pause           down rec          waiting rec pause   waiting rec pause   gone rec release    -                        -
died young       finishing finish            finishing finish            finishing finish  waiting rec pause   waiting rec pause   gone rec release    -                        -
died old         finishing finish            finishing finish            finishing finish  waiting rec pause   waiting rec pause   gone rec release    -                        -
failed for good  finishing finish            finishing finish            finishing finish  failed down rec     failed down rec     gone rec release    -                        -
pause over       -                           -                           -                 -                   -                   -                   -                        starting start
overdue          -                           -                           KILL deadline     CONT KILL deadline  CONT KILL deadline  CONT KILL deadline  -                        -
changed          -                           -                           -                 -                   -                   -                   -                        -
occupied         -                           -                           -                 -                   -                   -                   -                        -
emptied          -                           -                           -                 -                   -                   -                   -                        -
readied          ready rec                   -                           rec               -                   -                   -                   -                        -
held             -                           -                           -                 -                   -                   -                   -                        -
unheld           -                           -                           -                 -                   -                   -                   -                        -
alldone          -                           -                           -                 -                   -                   -                   -                        -
scripted         stopping down INT CONT rec  stopping down INT CONT rec  INT CONT rec      defer               down rec            rec                 down rec                 down down rec
instead          stopping down CONT rec      stopping down CONT rec      CONT rec          defer               down rec            rec                 down rec                 down down rec
`

// runitCells is the same where there is one of runit's.
const runitCells = `
event            being executed      finishing           finishing, leaving  failed                   up                          up, script runs
u                defer               rec                 up rec              starting up rec start    rec                         defer
o                defer               once rec            once rec            starting once rec start  once rec                    defer
d                defer               down rec            rec                 down rec                 script                      defer
x                defer               rec                 rec                 gone rec release         script                      defer
p                defer               -                   -                   rec                      script                      defer
c                defer               -                   -                   rec                      rec CONT                    defer
h                defer               -                   -                   -                        HUP                         defer
a                defer               -                   -                   -                        ALRM                        defer
i                defer               -                   -                   -                        INT                         defer
t                defer               -                   -                   -                        script                      defer
k                defer               KILL                KILL                -                        KILL                        defer
q                defer               -                   -                   -                        QUIT                        defer
1                defer               -                   -                   -                        USR1                        defer
2                defer               -                   -                   -                        USR2                        defer
w                defer               -                   -                   -                        WINCH                       defer
?                defer               -                   -                   -                        -                           defer
l                defer               -                   -                   -                        HUP                         defer
O                defer               -                   -                   -                        -                           defer
r                defer               -                   -                   -                        -                           defer
b                defer               -                   -                   -                        -                           defer
y                defer               -                   -                   -                        -                           defer
P                defer               -                   -                   -                        -                           defer
C                defer               -                   -                   -                        -                           defer
K                defer               -                   -                   -                        -                           defer
started          rec deadline        rec deadline        rec deadline        -                        -                           -
failed           waiting rec pause   waiting rec pause   gone rec release    -                        waiting rec pause           waiting rec pause
died young       waiting rec pause   waiting rec pause   gone rec release    -                        finishing finish            finishing finish
died old         starting start      starting start      gone rec release    -                        finishing finish            finishing finish
failed for good  failed down rec     failed down rec     gone rec release    -                        finishing finish            finishing finish
pause over       -                   -                   -                   -                        -                           -
overdue          CONT KILL deadline  CONT KILL deadline  CONT KILL deadline  -                        -                           -
changed          -                   -                   -                   -                        -                           -
occupied         -                   -                   -                   -                        -                           -
emptied          -                   -                   -                   -                        -                           -
readied          -                   -                   -                   -                        ready rec                   ready rec
held             -                   -                   -                   -                        -                           -
unheld           -                   -                   -                   -                        -                           -
alldone          -                   -                   -                   -                        -                           -
scripted         defer               down rec            rec                 down rec                 stopping down INT CONT rec  stopping down INT CONT rec
instead          defer               down rec            rec                 down rec                 stopping down CONT rec      stopping down CONT rec
`

func TestEveryCell(t *testing.T) {
	events := map[string]Event{
		"started":    {Kind: Started},
		"failed":     {Kind: StartFailed},
		"died young": {Kind: Exited, Since: 300 * time.Millisecond},
		"died old":   {Kind: Exited, Since: time.Second},
		"pause over": {Kind: PauseOver},
		"overdue":    {Kind: Overdue},
		"changed":    {Kind: Changed},
		"occupied":   {Kind: Occupied},
		"emptied":    {Kind: Emptied},
	}
	for _, letter := range "uodxpchaitkq12w?" {
		events[string(letter)] = Event{Kind: Letter, Letter: byte(letter)}
	}
	events["readied"] = Event{Kind: Readied}
	events["scripted"] = Event{Kind: Scripted, Letter: 'd'}
	events["instead"] = Event{Kind: Scripted, Letter: 'd', Instead: true}
	events["held"] = Event{Kind: Held}
	events["unheld"] = Event{Kind: Unheld}
	events["alldone"] = Event{Kind: AllDone}
	columns := []State{
		{Phase: Down, Want: fsstate.WantDown},
		{Phase: Starting, Want: fsstate.WantUp},
		{Phase: Up, Want: fsstate.WantUp},
		{Phase: Stopping, Want: fsstate.WantDown, Term: true},
		{Phase: Waiting, Want: fsstate.WantUp},
	}
	checkCells(t, cells, columns, events)
	checkCells(t, heldCells, []State{{Phase: Waiting, Want: fsstate.WantUp, Held: true}}, events)
	for name, e := range events {
		e.Tree = true
		events[name] = e
	}
	columns = append(columns,
		State{Phase: Up, Want: fsstate.WantUp, Paused: true},
		State{Phase: Up, Want: fsstate.WantDown, Leave: true},
		State{Phase: Clearing, Want: fsstate.WantDown, Leave: true},
		State{Phase: Clearing, Want: fsstate.WantUp})
	checkCells(t, treeCells, columns, events)

	for _, letter := range "lOrbyPCK" {
		events[string(letter)] = Event{Kind: Letter, Letter: byte(letter)}
	}
	events["failed for good"] = Event{Kind: Exited, Since: time.Second, Failed: true}
	with := func(d fsstate.Dialect) map[string]Event {
		all := make(map[string]Event)
		for name, e := range events {
			e.Tree, e.Dialect, e.Finish, e.TimeoutFinish = false, d, true, time.Second
			e.DownSignal, e.ReloadSignal = unix.SIGINT, unix.SIGHUP
			all[name] = e
		}
		return all
	}
	columns = []State{
		{Phase: Up, Want: fsstate.WantUp},
		{Phase: Ready, Want: fsstate.WantUp, Ready: true},
		{Phase: Stopping, Want: fsstate.WantDown, Term: true},
		{Phase: Finishing, Want: fsstate.WantUp, Deaf: true},
		{Phase: Finishing, Want: fsstate.WantUp},
		{Phase: Finishing, Want: fsstate.WantDown, Leave: true},
		{Phase: Failed, Want: fsstate.WantDown},
		{Phase: Waiting, Want: fsstate.WantUp},
	}
	checkCells(t, s6Cells, columns, with(fsstate.S6))
	scripts := with(fsstate.Runit)
	for name, e := range scripts {
		e.Scripts = "dtp"
		scripts[name] = e
	}
	columns = append(columns[3:7:7], columns[0], State{Phase: Up, Want: fsstate.WantUp, Script: true})
	checkCells(t, runitCells, columns, scripts)
}

func checkCells(t *testing.T, table string, columns []State, events map[string]Event) {
	t.Helper()
	rows := strings.Split(strings.TrimSpace(table), "\n")[1:]
	if len(rows) != len(events) {
		t.Fatalf("%d rows for %d events", len(rows), len(events))
	}
	for _, row := range rows {
		fields := slices.DeleteFunc(strings.Split(row, "  "), func(f string) bool { return strings.TrimSpace(f) == "" })
		name := strings.TrimSpace(fields[0])
		e, ok := events[name]
		if !ok || len(fields) != 1+len(columns) {
			t.Fatalf("bad row %q: %d fields", row, len(fields))
		}
		for i, before := range columns {
			after, actions := Next(before, e)
			want := strings.TrimSpace(fields[1+i])
			if got := cell(before, after, actions); got != want {
				t.Errorf("%v, %s: got %q, want %q", before.Phase, name, got, want)
			}
		}
		if after, actions := Next(State{Phase: Gone}, e); after != (State{Phase: Gone}) || actions != nil {
			t.Errorf("gone, %s: something follows", name)
		}
	}
}

// cell writes a transition as the table has it.
func cell(before, after State, actions []Action) string {
	var words []string
	if after.Phase != before.Phase {
		words = append(words, after.Phase.String())
	}
	if after.Want != before.Want {
		words = append(words, after.Want.String())
	}
	for _, a := range actions {
		switch a.Kind {
		case Signal:
			words = append(words, strings.TrimPrefix(unix.SignalName(a.Sig), "SIG"))
		case Record:
			words = append(words, "rec")
		case Start:
			words = append(words, "start")
		case Finish:
			words = append(words, "finish")
		case Script:
			words = append(words, "script")
		case Pause:
			words = append(words, "pause")
		case Deadline:
			words = append(words, "deadline")
		case Defer:
			words = append(words, "defer")
		case Release:
			words = append(words, "release")
		case Freeze:
			words = append(words, "freeze")
		case Thaw:
			words = append(words, "thaw")
		case Clear:
			words = append(words, "clear")
		case KillTree:
			words = append(words, "killtree")
		}
	}
	if words == nil {
		return "-"
	}
	return strings.Join(words, " ")
}

// TestEveryState follows every event out of every state that can be reached, and holds each step
// against what must always be so.
func TestEveryState(t *testing.T) {
	var events []Event
	for _, letter := range "uodxpct?" {
		for _, group := range []bool{false, true} {
			events = append(events, Event{Kind: Letter, Letter: byte(letter), Group: group})
		}
	}
	for _, instead := range []bool{false, true} {
		events = append(events, Event{Kind: Scripted, Letter: 't', Instead: instead}, Event{Kind: Scripted, Letter: 'd', Instead: instead})
	}
	for kind := range eventKinds {
		if kind != Letter && kind != Scripted {
			events = append(events, Event{Kind: kind})
		}
	}
	var all []Event
	for _, e := range events {
		for _, since := range []time.Duration{0, 700 * time.Millisecond, 1500 * time.Millisecond, time.Hour} {
			for _, backoff := range []time.Duration{0, 4 * time.Second} {
				for _, tree := range []bool{false, true} {
					e.Since, e.Backoff, e.TimeoutKill, e.Tree = since, backoff, backoff, tree
					all = append(all, e)
					for _, e.Dialect = range []fsstate.Dialect{fsstate.S6, fsstate.Runit} {
						for _, e.Finish = range []bool{false, true} {
							all = append(all, e)
						}
						e.Scripts = "td"
						all = append(all, e)
						e.Scripts = ""
						e.Failed = e.Kind == Exited
						all = append(all, e)
						e.Failed = false
					}
					if since == 0 || since == time.Hour {
						e.Dialect, e.Finish, e.Stop = fsstate.Encore, false, true
						e.Prelude = e.Kind == Started
						all = append(all, e)
						e.Prelude, e.Failed = false, e.Kind == Exited
						all = append(all, e)
						e.Failed = false
					}
					e.Dialect, e.Finish, e.Stop = 0, false, false
				}
			}
		}
	}
	up, down := Initial(false), Initial(true)
	seen := map[State]bool{up: true, down: true}
	queue := []State{up, down}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		for _, e := range all {
			after, actions := Next(s, e)
			if err := lawful(s, e, after, actions); err != nil {
				t.Fatalf("%+v, %+v: %v; after: %+v %+v", s, e, err, after, actions)
			}
			if !seen[after] {
				seen[after] = true
				queue = append(queue, after)
			}
		}
	}
	phasesSeen := make(map[Phase]bool)
	for s := range seen {
		phasesSeen[s.Phase] = true
	}
	if len(phasesSeen) != int(phases) {
		t.Errorf("only the phases %v can be reached", phasesSeen)
	}
	t.Logf("%d states, %d events", len(seen), len(all))
}

func lawful(s State, e Event, after State, actions []Action) error {
	has := func(k ActionKind) bool {
		return slices.ContainsFunc(actions, func(a Action) bool { return a.Kind == k })
	}
	recorded := func(s State) any {
		return [...]any{s.Want, s.running(), s.Term, s.Paused && s.running(), s.Phase == Ready, s.Phase == Failed}
	}
	switch {
	case has(Start) != (after.Phase == Starting && (s.Phase != Starting || s.Prelude && !after.Prelude)):
		return fmt.Errorf("Start and starting do not go together")
	case has(Finish) != (after.Phase == Finishing && s.Phase != Finishing):
		return fmt.Errorf("Finish and finishing do not go together")
	case after.Held && after.Phase != Waiting:
		return fmt.Errorf("held without waiting")
	case after.Prelude && after.Phase != Starting && after.Phase != Stopping:
		return fmt.Errorf("start runs while it is %v", after.Phase)
	case after.Deaf && after.Phase != Finishing:
		return fmt.Errorf("nothing is executed, and letters wait")
	case has(Release) != (after.Phase == Gone && s.Phase != Gone):
		return fmt.Errorf("Release and gone do not go together")
	case has(Signal) && !s.running() && s.Phase != Finishing:
		return fmt.Errorf("a signal without a process")
	case has(Pause) && after.Phase != Waiting, after.Phase == Waiting && s.Phase != Waiting && has(Pause) == after.Held:
		return fmt.Errorf("Pause and waiting do not go together")
	case recorded(s) != recorded(after) && !has(Record) && !has(Start) && !has(Finish):
		return fmt.Errorf("a change that is not recorded")
	case has(Script) != (after.Script && !s.Script):
		return fmt.Errorf("Script and its running do not go together")
	case e.Kind == Scripted && after.Script:
		return fmt.Errorf("a script runs for ever")
	case has(Defer) && e.Kind != Scripted && (len(actions) > 1 || after != s):
		return fmt.Errorf("a letter both deferred and obeyed")
	case after.Leave && (after.Phase == Down || after.Phase == Waiting || after.Phase == Failed):
		return fmt.Errorf("supervision goes on after x without a process")
	case s.Leave && !after.Leave:
		return fmt.Errorf("x is forgotten")
	case after.Phase == Waiting && after.Want == fsstate.WantDown:
		return fmt.Errorf("waiting to start what is wanted down")
	}
	for _, a := range actions {
		if a.Kind == Pause && (a.For < 0 || a.For > max(time.Second, e.Backoff)) {
			return fmt.Errorf("pause of %v", a.For)
		}
	}
	return nil
}

func TestPace(t *testing.T) {
	for _, c := range []struct {
		name    string
		backoff time.Duration
		lives   []time.Duration
		want    []time.Duration // from start to start
	}{
		{"young", 0, []time.Duration{0, 400 * time.Millisecond, 999 * time.Millisecond},
			[]time.Duration{time.Second, time.Second, time.Second}},
		{"old", 0, []time.Duration{time.Second, time.Minute}, []time.Duration{time.Second, time.Minute}},
		{"backoff doubles up to its value", 5 * time.Second, []time.Duration{0, 0, 0, 0, 0},
			[]time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}},
		{"a life longer than the backoff forgives", 4 * time.Second, []time.Duration{0, 0, 5 * time.Second, 0},
			[]time.Duration{time.Second, 2 * time.Second, 5 * time.Second, time.Second}},
		{"a life longer than the pause restarts at once", 8 * time.Second, []time.Duration{0, 0, 3 * time.Second, 0},
			[]time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second}},
		{"a backoff of less than a second changes nothing", 1, []time.Duration{0}, []time.Duration{time.Second}},
	} {
		s := State{Phase: Up, Want: fsstate.WantUp}
		for i, life := range c.lives {
			after, actions := Next(s, Event{Kind: Exited, Since: life, Backoff: c.backoff})
			got := life
			for _, a := range actions {
				if a.Kind == Pause {
					got += a.For
				}
			}
			if got != c.want[i] {
				t.Errorf("%s: start %d comes after %v, want %v", c.name, i+1, got, c.want[i])
			}
			s = after
			s.Phase = Up
		}
	}
}

// A person who says u need not wait for a pause that has grown long.
func TestUpEndsALongPause(t *testing.T) {
	s := State{Phase: Waiting, Want: fsstate.WantUp, Pace: 8 * time.Second}
	after, actions := Next(s, Event{Kind: Letter, Letter: 'u', Since: 400 * time.Millisecond, Backoff: time.Minute})
	want := []Action{{Kind: Record}, {Kind: Pause, For: 600 * time.Millisecond}}
	if after.Phase != Waiting || after.Pace != 0 || !slices.Equal(actions, want) {
		t.Errorf("got %+v %+v", after, actions)
	}
}

// Only a directory that was at fault is tried again when it changes.
func TestChangeRetriesWhatIsBroken(t *testing.T) {
	s := State{Phase: Starting, Want: fsstate.WantUp}
	s, _ = Next(s, Event{Kind: StartFailed})
	if s.Phase != Waiting {
		t.Fatalf("after a failed start: %v", s.Phase)
	}
	if after, actions := Next(s, Event{Kind: Changed}); after.Phase != Starting || len(actions) != 1 {
		t.Errorf("got %+v %+v", after, actions)
	}
	s.Broken = false
	if after, _ := Next(s, Event{Kind: Changed}); after.Phase != Waiting {
		t.Errorf("a service that merely died young was restarted by a change")
	}
}

// What a person asks of a broken service is tried at once, and an o is used up by that.
func TestLetterRetriesWhatIsBroken(t *testing.T) {
	for letter, want := range map[byte]Phase{'u': Waiting, 'o': Down} {
		s, _ := Next(State{Phase: Waiting, Want: fsstate.WantUp, Broken: true}, Event{Kind: Letter, Letter: letter})
		if s.Phase != Starting {
			t.Errorf("%c: %v, want starting", letter, s.Phase)
		}
		if s, _ = Next(s, Event{Kind: StartFailed}); s.Phase != want {
			t.Errorf("%c: after another failure %v, want %v", letter, s.Phase, want)
		}
	}
}

func TestOnceAndLeave(t *testing.T) {
	for _, c := range []struct {
		state State
		event Event
		phase Phase
	}{
		{State{Phase: Up, Want: fsstate.WantOnce}, Event{Kind: Exited, Since: time.Hour}, Down},
		{State{Phase: Starting, Want: fsstate.WantOnce}, Event{Kind: StartFailed}, Down},
		{State{Phase: Up, Want: fsstate.WantUp, Leave: true}, Event{Kind: Exited, Since: time.Hour}, Gone},
		{State{Phase: Starting, Want: fsstate.WantUp, Leave: true}, Event{Kind: StartFailed}, Gone},
		{State{Phase: Stopping, Want: fsstate.WantUp}, Event{Kind: Exited, Since: time.Hour}, Starting},
		{State{Phase: Stopping, Want: fsstate.WantUp}, Event{Kind: Exited}, Waiting},
	} {
		if after, _ := Next(c.state, c.event); after.Phase != c.phase {
			t.Errorf("%+v, %v: %v, want %v", c.state, c.event.Kind, after.Phase, c.phase)
		}
	}
}

// TestOneDeadline: timeout-kill counts from the letter d on, for the process and then for what it has left.
func TestOneDeadline(t *testing.T) {
	const limit = 5 * time.Second
	deadlines := func(actions []Action) (list []time.Duration) {
		for _, a := range actions {
			if a.Kind == Deadline {
				list = append(list, a.For)
			}
		}
		return list
	}
	for _, c := range []struct {
		name  string
		state State
		event Event
		want  []time.Duration
	}{
		{"d", State{Phase: Up}, Event{Kind: Letter, Letter: 'd'}, []time.Duration{limit}},
		{"d again", State{Phase: Stopping}, Event{Kind: Letter, Letter: 'd'}, []time.Duration{limit}},
		{"the end after d", State{Phase: Stopping, Want: fsstate.WantDown}, Event{Kind: Exited}, nil},
		{"the end after d and x", State{Phase: Stopping, Want: fsstate.WantDown, Leave: true}, Event{Kind: Exited}, nil},
		{"the end after x", State{Phase: Up, Want: fsstate.WantUp, Leave: true}, Event{Kind: Exited}, []time.Duration{limit}},
		{"x while it is down", State{Phase: Down, Want: fsstate.WantDown}, Event{Kind: Letter, Letter: 'x'}, []time.Duration{limit}},
		{"d while it waits", State{Phase: Waiting, Want: fsstate.WantUp}, Event{Kind: Letter, Letter: 'd'}, []time.Duration{limit}},
	} {
		c.event.Tree, c.event.TimeoutKill = true, limit
		if _, actions := Next(c.state, c.event); !slices.Equal(deadlines(actions), c.want) {
			t.Errorf("%s: deadlines %v, want %v", c.name, deadlines(actions), c.want)
		}
	}
}
