package pid1_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

func TestMain(m *testing.M) {
	rig.Main(m, map[string]func([]string){
		"init":   initHelper,
		"masked": maskedHelper,
		"listen": listenHelper,
	})
}

// slack is how much later than its deadline the daemon may end on a busy machine.
const slack = 20 * time.Second

// A world is where the daemon runs.
type world struct {
	name string
	pid1 bool // in a PID namespace of its own
	proc bool // /proc is there
}

var worlds = []world{
	{"PID 1", true, true},
	{"PID 1 without proc", true, false},
	{"subreaper", false, true},
}

// everywhere runs a test in every world.
func everywhere(t *testing.T, test func(t *testing.T, w world)) {
	t.Parallel()
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

// marker is the environment variable by which a daemon's processes are known from outside.
const marker = "UPKEEP_TEST_DAEMON"

type daemon struct {
	*rig.Upkeep
	t    *testing.T
	mark string
}

// start starts the daemon with arguments in a world; wrap is a command that is to execute it.
func (w world) start(t *testing.T, args []string, wrap ...string) *daemon {
	t.Helper()
	return w.startWith(t, nil, args, wrap...)
}

// startWith is start with something for the standard input.
func (w world) startWith(t *testing.T, stdin *os.File, args []string, wrap ...string) *daemon {
	t.Helper()
	argv := append(wrap, harness.Bin(t, "upkeep"))
	argv = append(argv, args...)
	d := &daemon{t: t, mark: fmt.Sprintf("%s=%s", marker, t.TempDir())}
	var flags uintptr
	if w.pid1 {
		mode := "proc"
		if !w.proc {
			mode = "noproc"
		}
		argv = append(rig.Helper(t, "init", mode), argv...)
		flags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
		probe := exec.Command("/bin/true")
		probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		if err := probe.Run(); err != nil {
			harness.Skip(t, "no PID namespaces: %v", err)
		}
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C", d.mark}
	if stdin != nil {
		cmd.Stdin = stdin
	}
	d.Upkeep = rig.Start(t, cmd)
	return d
}

// initHelper prepares /proc in new PID and mount namespaces and executes its arguments.
func initHelper(args []string) {
	fail := func(what string, err error) {
		fmt.Fprintln(os.Stderr, what, err)
		os.Exit(99)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fail("private mounts:", err)
	}
	fstype := map[string]string{"proc": "proc", "noproc": "tmpfs"}[args[0]]
	if err := unix.Mount(fstype, "/proc", fstype, 0, ""); err != nil {
		fail("mount /proc:", err)
	}
	fail(args[1], syscall.Exec(args[1], args[1:], os.Environ()))
}

// A process is seen from outside.
type process struct {
	pid, parent int
	state       string
	name        string
}

// look looks at a process.
func look(pid int) (p process, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	open, shut := strings.IndexByte(string(stat), '('), strings.LastIndexByte(string(stat), ')')
	if err != nil || shut < 0 {
		return p, false
	}
	f := strings.Fields(string(stat)[shut+1:])
	parent, _ := strconv.Atoi(f[1])
	return process{pid, parent, f[0], string(stat)[open+1 : shut]}, true
}

// children are those of a process, dead ones too.
func children(pid int) (list []process) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, word := range strings.Fields(string(text)) {
			child, _ := strconv.Atoi(word)
			if p, ok := look(child); ok {
				list = append(list, p)
			}
		}
	}
	return list
}

// descendants are the children of a process, and theirs. To look at every process there is takes long where
// there are many, and many a test looks again and again.
func descendants(pid int) (list []process) {
	for _, p := range children(pid) {
		list = append(append(list, p), descendants(p.pid)...)
	}
	return list
}

// zombies is the number of the daemon's children that wait to be reaped.
func (d *daemon) zombies() (n int) {
	for _, p := range children(d.Pid()) {
		if p.state == "Z" {
			n++
		}
	}
	return n
}

// members are the living processes that have the daemon's environment, without the daemon.
func (d *daemon) members() (list []process) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		p, ok := look(pid)
		if !ok || pid == d.Pid() || p.state == "Z" {
			continue
		}
		env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
		if strings.Contains("\x00"+string(env)+"\x00", "\x00"+d.mark+"\x00") {
			list = append(list, p)
		}
	}
	return list
}

// member waits for the one living process below the daemon with that name.
func (d *daemon) member(name string) (p process) {
	d.t.Helper()
	harness.Eventually(d.t, "there is one process "+name, func() bool {
		n := 0
		for _, m := range descendants(d.Pid()) {
			if m.name == name && m.state != "Z" {
				p = m
				n++
			}
		}
		return n == 1
	})
	return p
}

// ends sends a signal to the daemon and expects an exit code, in time, and nobody left.
func (d *daemon) ends(sig syscall.Signal, limit time.Duration, code int) {
	d.t.Helper()
	if got := d.Stop(sig, limit); got != code {
		d.t.Errorf("exit code %d on %v, want %d", got, sig, code)
	}
	d.nobodyLeft()
}

func (d *daemon) nobodyLeft() {
	d.t.Helper()
	if left := d.members(); len(left) > 0 {
		d.t.Errorf("left behind: %v", left)
	}
}

// holds waits until a file has exactly these lines.
func holds(t *testing.T, path string, lines ...string) {
	t.Helper()
	want := strings.Join(lines, "\n") + "\n"
	harness.Eventually(t, fmt.Sprintf("%s holds %q", filepath.Base(path), want), func() bool {
		b, _ := os.ReadFile(path)
		return string(b) == want
	})
}

func sh(lines ...string) string { return "#!/bin/sh\n" + strings.Join(lines, "\n") + "\n" }
