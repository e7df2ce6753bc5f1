package vm_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"upkeep/test/harness"
)

// asInit is a tree in which upkeep is the first program that the kernel executes. There is no /dev, /proc,
// /sys or /run: only the kernel's own /dev/console.
func asInit(t *testing.T, services tree) tree {
	return tools(t).with(tree{"init": {link: "bin/upkeep"}}).with(services)
}

// ending is a service that has something to do at its end.
var ending = script("trap 'echo $name got TERM; kill $child; exit 0' TERM", "name=${PWD##*/}", "sleep 1000000 &", "child=$!",
	"echo $name is up", "wait")

// TestEnd: each order, from inside or by the keyboard, stops all services and then ends the machine.
func TestEnd(t *testing.T) {
	for _, order := range []struct{ name, by, says, last string }{
		{"TERM", "kill -TERM 1", "upkeep: powering off", powerDown},
		{"PWR", "kill -PWR 1", "upkeep: powering off", powerDown},
		{"QUIT", "kill -QUIT 1", "upkeep: powering off", powerDown},
		{"INT", "kill -INT 1", "upkeep: restarting", restart},
		{"ctrl-alt-del", "", "upkeep: restarting", restart},
	} {
		t.Run(order.name, func(t *testing.T) {
			m := boot(t, hardware{initramfs: initramfs(t, asInit(t, tree{
				"service/a/run":     ending,
				"service/b/run":     script("trap 'echo last words; exit 0' TERM", "echo b is up", "while :; do sleep 0.1; done"),
				"service/b/log/run": script("while read line; do echo \"b said: $line\"; done", "echo the log ends"),
				"service/z/run":     script("read line", order.by, "exec sleep 1000000"),
			}))})
			m.says("a is up")
			m.says("b said: b is up")
			if order.by == "" {
				m.press("ctrl-alt-delete")
			} else {
				m.enter("now")
			}
			m.off(order.last)
			if order.name == "QUIT" {
				m.inOrder(order.says)
				return // it gives a second, in which not everybody gets to speak on a busy machine
			}
			m.inOrder("a got TERM", order.says)
			m.inOrder("b said: last words", "the log ends", order.says)
		})
	}
}

// TestLastOrder: of two orders the later one counts.
func TestLastOrder(t *testing.T) {
	m := boot(t, hardware{initramfs: initramfs(t, asInit(t, tree{
		"init":          script("exec upkeep --stop-timeout=1h /service"),
		"service/z/run": script("trap '' TERM", "echo z is up", "read line", "kill -INT 1", "read line", "kill -TERM 1", "exit"),
	}))})
	m.says("z is up")
	m.enter("now")
	m.says("upkeep: stopping everything before restarting")
	m.enter("now")
	m.off(powerDown)
	m.inOrder("upkeep: stopping everything before powering off", "upkeep: powering off")
}

// TestCommand: the end of the main command is the end of the machine. (The kernel hands on nothing behind
// a second -- of its command line, so it takes a script.)
func TestCommand(t *testing.T) {
	m := boot(t, hardware{initramfs: initramfs(t, asInit(t, tree{
		"init":               script("exec upkeep /etc/services -- /main"),
		"etc/services/a/run": ending,
		"main":               script("until svok /etc/services/a && svstat /etc/services/a | grep -q ' up '; do sleep 0.1; done", "read line"),
	}))})
	m.says("a is up")
	m.enter("over")
	m.off(powerDown)
	m.inOrder("a got TERM", "upkeep: powering off")
}

// TestBareMachine: what nobody has mounted is there, and services find it.
func TestBareMachine(t *testing.T) {
	m := boot(t, hardware{initramfs: initramfs(t, asInit(t, tree{
		"service/look/run": script(
			"exec 2>&1",
			"cut -d ' ' -f 2,3 /proc/mounts",
			"for c in cpu io memory pids; do grep -qw $c /sys/fs/cgroup/cgroup.controllers && echo controller $c; done",
			"for d in null zero full random urandom tty ptmx console; do test -c /dev/$d && echo device $d; done",
			"echo through a descriptor | cat /dev/stdin",
			"ls -l /proc/1/fd | sed -n 's/.* \\([012]\\) -> /init has \\1 /p'",
			"echo mine: $(ls /proc/self/fd) $(readlink /proc/self/fd/2)",
			"echo PATH=$PATH",
			"touch /run/x /dev/shm/y && echo writable",
			"kill -TERM 1; exec sleep 1000000"),
	}))})
	m.off(powerDown)
	for _, line := range []string{
		"/proc proc", "/sys sysfs", "/dev devtmpfs", "/dev/pts devpts", "/dev/shm tmpfs", "/run tmpfs", "/sys/fs/cgroup cgroup2",
		"controller cpu", "controller io", "controller memory", "controller pids",
		"device null", "device zero", "device full", "device random", "device urandom", "device tty", "device ptmx", "device console",
		"through a descriptor", "init has 0 /dev/console", "init has 1 /dev/console", "init has 2 /dev/console",
		"mine: 0 1 2 3 /dev/console", // 3 is the directory that ls reads
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "writable",
	} {
		if n := m.count(line); n != 1 {
			t.Errorf("%d lines are %q", n, line)
		}
	}
	m.warnsOf()
}

// TestMountedAlready: what a script has mounted before it executed upkeep stays as it is.
func TestMountedAlready(t *testing.T) {
	m := boot(t, hardware{initramfs: initramfs(t, asInit(t, tree{
		"init": script("mkdir -p /proc /sys /dev /run", "mount -t proc proc /proc", "mount -t devtmpfs dev /dev", "mount -t tmpfs tmpfs /run",
			"mount -t sysfs sysfs /sys", "echo mine >/run/mine", "export PATH=/bin:/mine", "exec /bin/upkeep"),
		"service/look/run": script("cut -d ' ' -f 2 /proc/mounts | sort | uniq -d | sed 's/^/twice: /'",
			"cat /run/mine", "echo PATH=$PATH", "kill -TERM 1; exec sleep 1000000"),
	}))})
	m.off(powerDown)
	m.inOrder("mine", "PATH=/bin:/mine")
	if m.hasSaid("twice: ") {
		t.Error("a directory is mounted upon twice")
	}
	m.warnsOf()
}

// TestOrphans: what services leave behind is reaped, however much it is, and ends with everything else.
func TestOrphans(t *testing.T) {
	m := boot(t, hardware{initramfs: initramfs(t, asInit(t, tree{
		"service/bad/run": script(
			"i=0; while [ $i -lt 1000 ]; do (true &); i=$((i+1)); done",
			"(trap 'echo orphan got TERM; exit' TERM; echo orphan is up; while :; do sleep 0.1; done) &",
			"(setsid sh -c \"trap '' TERM; echo stubborn is up; while :; do sleep 1; done\") &",
			"until ! grep -qs '^State:.Z' /proc/[0-9]*/status; do sleep 0.1; done; echo no zombie is left",
			"read line; kill -TERM 1; exec sleep 1000000"),
	})), boot: "-- --stop-timeout=3s"})
	m.says("orphan is up")
	m.says("stubborn is up")
	m.says("no zombie is left")
	m.enter("now")
	m.off(powerDown)
	m.inOrder("orphan got TERM", "upkeep: powering off")
}

// TestNoRoot: an init that has nothing to supervise says so and stays, until there is something.
func TestNoRoot(t *testing.T) {
	m := boot(t, hardware{initramfs: initramfs(t, asInit(t, tree{
		"init": script("exec 3<&0", "(read line; mkdir /service; mv /later /service/a) <&3 &", "exec upkeep 3<&-"), "later/run": ending,
		"dev/null": {node: 1<<8 | 3}, // for the shell
	}))})
	m.says("upkeep: warning: cannot open the root /service: no such file or directory")
	m.enter("now")
	m.says("a is up")
	m.press("ctrl-alt-delete")
	m.off(restart)
	m.inOrder("a got TERM", "upkeep: restarting")
	m.warnsOf("cannot open the root")
}

// TestNothingToDo: an init that can never do anything still hears the keyboard.
func TestNothingToDo(t *testing.T) {
	for what, arguments := range map[string]string{
		"cannot open the root splash": "splash", "-nonsense": "-- --nonsense", "more than one root": "one two", "help": "-- --help",
	} {
		t.Run(arguments, func(t *testing.T) {
			m := boot(t, hardware{boot: arguments, initramfs: initramfs(t, asInit(t, nil))})
			m.says("nothing is supervised")
			m.press("ctrl-alt-delete")
			m.off(restart)
			m.warnsOf(what)
		})
	}
}

// TestClosedDescriptors: an init that was started with none of the first three gets the console for them.
func TestClosedDescriptors(t *testing.T) {
	m := boot(t, hardware{initramfs: initramfs(t, asInit(t, tree{
		"init":          script("exec upkeep <&- >&- 2>&-"),
		"dev/null":      {node: 1<<8 | 3},
		"service/a/run": script("for n in 0 1 2; do readlink /proc/$$/fd/$n; done", "kill -TERM 1; exec sleep 1000000"),
	}))})
	m.off(powerDown)
	if n := m.count("/dev/console"); n != 3 {
		t.Errorf("%d descriptors are the console", n)
	}
	m.inOrder("upkeep: powering off")
}

// TestNoConsole: on a machine whose console does not exist services run all the same. The Go runtime cannot
// begin without /dev/null there.
func TestNoConsole(t *testing.T) {
	m := boot(t, hardware{boot: "console=null", initramfs: initramfs(t, asInit(t, tree{
		"dev/null":      {node: 1<<8 | 3},
		"service/a/run": script("for n in 0 1 2; do fd=$(readlink /proc/$$/fd/$n); echo $fd >/dev/ttyS0; done", "kill -TERM 1; exec sleep 1000000"),
	}))})
	<-m.ended
	if n := m.count("/dev/null"); n != 3 {
		t.Errorf("%d descriptors are /dev/null", n)
	}
}

// TestDisk: on a root that is a disk, and that the kernel mounts without an initramfs, what was written is
// there after the end, and the file system is clean.
func TestDisk(t *testing.T) {
	dir := t.TempDir()
	asInit(t, tree{
		"sbin/init": {link: "../bin/upkeep"},
		"dev":       {dir: true}, "proc": {dir: true}, "sys": {dir: true}, "run": {dir: true}, "mnt": {dir: true},
		"service/a/run": script("trap 'echo at the end >/at-the-end; exit 0' TERM",
			"mount -t tmpfs tmpfs /mnt; mkdir /mnt/x; mount --bind /service /mnt/x",
			"dd if=/dev/urandom of=/big bs=1M count=8 2>/dev/null; sha256sum </big >/sum",
			"kill -TERM 1; while :; do sleep 0.1; done"),
	}).without("init").writeTo(t, dir)
	image := filepath.Join(t.TempDir(), "disk")
	disk(t, image, dir, 64)
	m := boot(t, hardware{disk: image, keep: true, boot: "root=/dev/nvme0n1 rw"})
	m.off(powerDown)
	m.warnsOf()
	about := mustRun(t, "dumpe2fs", "-h", image)
	if strings.Contains(about, "needs_recovery") || !strings.Contains(about, "Filesystem state:         clean") {
		t.Errorf("it is not clean:\n%s", about)
	}
	mustRun(t, "e2fsck", "-f", "-n", image)
	big := filepath.Join(t.TempDir(), "big")
	mustRun(t, "debugfs", "-R", "dump /big "+big, image)
	sum, _ := harness.Run(t, "debugfs", "-R", "cat /sum", image)
	data, err := os.ReadFile(big)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(sum, sha256Hex(data)) {
		t.Error("what was written is not what is there")
	}
	if end, _ := harness.Run(t, "debugfs", "-R", "cat /at-the-end", image); !strings.Contains(end, "at the end") {
		t.Errorf("the end was not written: %s", end)
	}
}

// TestReadOnlyRoot: a root that is never made writable is no reason not to run what is there.
func TestReadOnlyRoot(t *testing.T) {
	dir := t.TempDir()
	asInit(t, tree{
		"sbin/init": {link: "../bin/upkeep"},
		"dev":       {dir: true}, "proc": {dir: true}, "sys": {dir: true},
		"etc/services/a/run": ending,
	}).without("init").writeTo(t, dir)
	image := filepath.Join(t.TempDir(), "disk")
	disk(t, image, dir, 64)
	m := boot(t, hardware{disk: image, boot: "root=/dev/nvme0n1 ro -- --state=/dev/shm/state /etc/services"})
	m.says("a is up")
	m.press("ctrl-alt-delete")
	m.off(restart)
	m.inOrder("a got TERM", "upkeep: restarting")
	m.warnsOf("cannot make the directory /run: read-only file system")
}

// inOrder fails the test unless there are these lines, one after the other.
func (m *machine) inOrder(lines ...string) {
	m.t.Helper()
	said := m.said()
	for _, line := range lines {
		i := slices.Index(said, line)
		if i < 0 {
			m.t.Errorf("nothing says %q in its place", line)
			return
		}
		said = said[i+1:]
	}
}

// count tells how many lines are the one given.
func (m *machine) count(line string) (n int) {
	for _, l := range m.said() {
		if l == line {
			n++
		}
	}
	return n
}

// warnsOf fails the test unless upkeep warns exactly once of each of these, and of nothing else.
func (m *machine) warnsOf(what ...string) {
	m.t.Helper()
	var warnings []string
	for _, line := range m.said() {
		if strings.HasPrefix(line, "upkeep: warning: ") {
			warnings = append(warnings, line)
		}
	}
	for _, w := range what {
		i := slices.IndexFunc(warnings, func(line string) bool { return strings.Contains(line, w) })
		if i < 0 {
			m.t.Errorf("nothing warns of %q", w)
			continue
		}
		warnings = slices.Delete(warnings, i, i+1)
	}
	if len(warnings) > 0 {
		m.t.Errorf("there are other warnings: %q", warnings)
	}
}
