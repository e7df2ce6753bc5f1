package vm_test

import (
	"strings"
	"testing"
)

// A cgroupScenario is a service whose tree of processes is held together by its cgroup, and one that looks
// at it from outside.
type cgroupScenario struct {
	name    string
	service tree     // the directory of the service, whose name is s
	look    []string // the lines of a script; it may use the functions of looking
	want    []string // lines, in this order
}

// looking are functions of the scripts that look at the service s.
var looking = []string{
	"exec 2>&1",
	"wait_for() { until eval \"$1\" >/dev/null 2>&1; do sleep 0.1; done; }",
	"wait_for 'svok /service/s'",
	"wait_for 'test -d /sys/fs/cgroup/upkeep-*/s/run'", "group=$(echo /sys/fs/cgroup/upkeep-*/s/run)",
	"events() { sed -n \"s/^$1 //p\" $group/cgroup.events; }",
	"empty() { test ! -e $group || test \"$(events populated)\" = 0; }",
}

// cgroupScenarios run on a kernel that has all controllers in the unified hierarchy, which nobody but
// upkeep has mounted.
var cgroupScenarios = []cgroupScenario{
	{
		name: "limits",
		service: tree{
			"cgroup/pids.max": text("20"), "cgroup/memory.max": text("64M"), "cgroup/cpu.max": text("50000 100000"), "cgroup/cpu.weight": text("50"),
			"run":     script("exec sleep 1000000"),
			"log/run": script("exec cat"),
		},
		look: []string{
			"wait_for 'test $(wc -l <$group/cgroup.procs) = 1'",
			"for f in pids.max memory.max cpu.max cpu.weight; do echo $f is $(cat $group/$f); done",
			"wait_for 'test $(wc -l <${group%run}log/cgroup.procs) = 1'", "echo there is one logger, outside",
			"echo init is in $(sed 's,/upkeep-[^/]*,,' /proc/1/cgroup)",
		},
		want: []string{"pids.max is 20", "memory.max is 67108864", "cpu.max is 50000 100000", "cpu.weight is 50",
			"there is one logger, outside", "init is in 0::/supervisor"},
	},
	{
		name:    "rejected limit",
		service: tree{"cgroup/pids.max": text("many"), "run": script("echo it runs all the same", ": >/ran")},
		look: []string{
			"wait_for 'svstat --long /service/s | grep pids.max'", "echo it is down",
			// A directory may be incomplete for a second, in which nothing is said. Each attempt is recorded.
			"status() { ls -i /service/s/supervise/status; }",
			"for attempt in 1 2 3 4; do old=$(status); wait_for 'test \"$(status)\" != \"$old\"'; done",
			"echo 10 >/service/s/cgroup/pids.max", "svc -u /service/s", "wait_for 'test -e /ran'",
		},
		want: []string{"it is down", "it runs all the same"},
	},
	{
		name: "out of memory",
		service: tree{
			"cgroup/memory.max": text("16M"), "cgroup/memory.swap.max": text("0"),
			"run": script("test -e /started && exec sleep 1000000", ": >/started", "echo hungry", "exec tail /dev/zero"),
		},
		look: []string{
			"wait_for 'test -e /started && svstat /service/s | grep up.*pid'", "wait_for 'grep -q \"oom_kill [1-9]\" $group/memory.events'",
			"wait_for 'svstat --long /service/s | grep -iE \"oom|out of memory\"'", "echo long tells it",
			"wait_for 'svstat --json /service/s | grep -i oom | grep -vE \": (0|null|false)\"'", "echo json tells it",
			"wait_for 'svstat /service/s | grep s:.up'", "echo it is up again",
		},
		want: []string{"hungry", "long tells it", "json tells it", "it is up again"},
	},
	{
		name: "fork bomb",
		service: tree{
			"cgroup/pids.max": text("100"), "timeout-kill": text("500"),
			"run": script("exec 2>/dev/null", "bomb() { bomb | bomb & }", "bomb", "while :; do sleep 1; done"),
		},
		look: []string{
			"wait_for 'grep -q \"max [1-9]\" $group/pids.events'", "echo the limit is reached",
			"mkdir /service/.other; cp /bin/other /service/.other/run; mv /service/.other /service/other",
			"wait_for 'svstat /service/other | grep other:.up'", "echo others are started",
			"test $(cat $group/pids.current) -le 100 && echo it is contained",
			"svc -d /service/s", "wait_for empty", "echo the bomb is gone",
		},
		want: []string{"the limit is reached", "others are started", "it is contained", "the bomb is gone"},
	},
	{
		name: "escape",
		service: tree{
			"timeout-kill": text("500"),
			"run":          script("setsid sh -c \"trap '' TERM; echo \\$\\$ >/escapee; while :; do sleep 1; done\" &", "exec sleep 1000000"),
		},
		look: []string{
			"wait_for 'test -s /escapee'", "kill -0 $(cat /escapee) && echo it has escaped",
			"svc -d /service/s", "wait_for empty", "wait_for '! kill -0 $(cat /escapee)'", "echo it has not",
		},
		want: []string{"it has escaped", "it has not"},
	},
	{
		name:    "freeze",
		service: tree{"run": script("setsid sh -c 'while :; do echo >>/beats; sleep 0.01; done' &", "exec sleep 1000000")},
		look: []string{
			"wait_for 'test -s /beats'", "svc -p /service/s", "wait_for 'test $(events frozen) = 1'", "echo it is frozen",
			"n=$(wc -l </beats); sleep 0.5; test $n = $(wc -l </beats) && echo it stands still",
			"svc -c /service/s", "wait_for 'test $(events frozen) = 0'", "wait_for 'test $n -lt $(wc -l </beats)'", "echo it goes on",
		},
		want: []string{"it is frozen", "it stands still", "it goes on"},
	},
	{
		name:    "a place with others in it",
		service: tree{"run": script("exec sleep 1000000")},
		look: []string{
			"cd /sys/fs/cgroup; echo +memory +pids +cpu >cgroup.subtree_control; mkdir c",
			"sleep 1000000 & other=$!; echo $other >c/cgroup.procs; place() { sed s,0::,, /proc/$other/cgroup; }",
			"mkdir -p /b/web/cgroup; cp /bin/other /b/web/run; echo 50000 100000 >/b/web/cgroup/cpu.max",
			"upkeep --cgroup=/sys/fs/cgroup/c /b & upkeep=$!", "wait_for 'svstat /b/web | grep web:.up'",
			"echo the limit is $(cat c/web/run/cpu.max)", "echo the other is in $(place)",
			"kill $upkeep; wait $upkeep; echo it ended with $?", "echo the other is in $(place) again",
			"find c -type d | sed 's/^/there is /'",
		},
		want: []string{"the limit is 50000 100000", "the other is in /c/supervisor", "it ended with 0", "the other is in /c again", "there is c"},
	},
	{
		name:    "removed",
		service: tree{"run": script("exec sleep 1000000"), "log/run": script("exec cat")},
		look: []string{
			"wait_for 'test $(wc -l <$group/cgroup.procs) = 1'", "echo there is a group",
			"mv /service/s /gone; svc -dx /gone /gone/log", "wait_for '! test -e ${group%/run}'", "echo there is none",
		},
		want: []string{"there is a group", "there is none"},
	},
}

func TestCgroup(t *testing.T) {
	for _, s := range cgroupScenarios {
		t.Run(s.name, func(t *testing.T) {
			services := tree{
				"bin/other":        script("exec sleep 1000000"),
				"service/look/run": script(append(append([]string{}, looking...), append(s.look, "echo looked", "exec sleep 1000000")...)...),
			}
			for name, c := range s.service {
				services["service/s/"+name] = c
			}
			m := boot(t, hardware{initramfs: initramfs(t, asInit(t, services)), boot: "-- --stop-timeout=5s"})
			m.says("looked")
			m.press("ctrl-alt-delete") // init lives, whatever has happened
			m.off(restart)
			m.inOrder(s.want...)
			if s.name == "out of memory" && !m.tells("warning: s: ", "memory") {
				t.Error("no message tells of the want of memory")
			}
			if s.name == "rejected limit" && !m.tells("warning: s: ", "pids.max") {
				t.Error("no message names the file")
			}
		})
	}
}

// TestNoGroupIsLeft: when upkeep is not the machine's init, but started by it, nothing is left after its end.
func TestNoGroupIsLeft(t *testing.T) {
	m := boot(t, hardware{initramfs: initramfs(t, tools(t).with(tree{
		"init": script("exec 2>&1", "mkdir /proc /sys", "mount -t proc proc /proc; mount -t devtmpfs dev /dev; mount -t sysfs sysfs /sys",
			"mount -t cgroup2 cgroup2 /sys/fs/cgroup", "mkdir /sys/fs/cgroup/base; echo $$ >/sys/fs/cgroup/base/cgroup.procs",
			"upkeep /service -- /main", "echo upkeep ended with $?", "cd /sys/fs/cgroup/base; find . -type d | sed 's/^/group /'", "poweroff -f"),
		"main": script("until svstat /service/s | grep -q ' up ' && svstat /service/s/log | grep -q ' up '; do sleep 0.1; done",
			"cd /sys/fs/cgroup/base; find . -type d | sort | sed 's,/upkeep-[^/]*,,; s/^/in use: /'; exit 7"),
		"service/s/run":     script("sleep 1000000 & exec sleep 1000000"),
		"service/s/log/run": script("exec cat"),
	}))})
	m.off(powerDown)
	m.inOrder("in use: .", "in use: ./s", "in use: ./s/log", "in use: ./s/run", "in use: ./supervisor", "upkeep ended with 7", "group .")
	for _, line := range m.said() {
		if strings.HasPrefix(line, "group ./") {
			t.Errorf("left: %s", line)
		}
	}
}

// tells tells whether a message of upkeep holds all of the words.
func (m *machine) tells(words ...string) bool {
lines:
	for _, line := range m.said() {
		if !strings.HasPrefix(line, "upkeep: ") {
			continue
		}
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		return true
	}
	return false
}
