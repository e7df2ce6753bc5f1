package hardtimes_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
	"upkeep/test/hungfs"
)

// A hang is one way in which a service named "hung" can be kept waiting by its file system.
type hang struct {
	name string
	want hungfs.Want
	// late: the service is up when the file system stops answering.
	late bool
	// lay puts the service into the root, and returns its supervise directory, which is local.
	lay func(t *testing.T, root, mnt string) string
}

// The script says where it is for those who look at the output after a failure.
const hungRun = "#!/bin/sh\necho 'hung: it runs'\nexec sleep 1000000\n"

// runOnMount: a local service directory whose run is a link into the mount.
func runOnMount(t *testing.T, root, mnt string) string {
	dir := rig.Service(t, filepath.Dir(root), "local", "", "backoff", "1\n")
	remove(t, join(dir, "run"))
	symlink(t, join(mnt, "run"), join(dir, "run"))
	rename(t, dir, join(root, "hung"))
	return join(root, "hung", "supervise")
}

// allOnMount: the service directory is the mount itself; its supervise is a link to a local directory.
func allOnMount(t *testing.T, root, mnt string) string {
	symlink(t, mnt, join(root, "hung"))
	return join(filepath.Dir(root), "super")
}

var hangs = []hang{
	{"open of run", hungfs.Open, false, runOnMount},
	{"read of run", hungfs.Read, false, runOnMount},
	{"stat of run", hungfs.All, false, runOnMount},
	{"open in directory", hungfs.Open, false, allOnMount},
	{"stat of directory", hungfs.All, false, allOnMount},
	{"open of run, later", hungfs.Open, true, runOnMount},
	{"stat of run, later", hungfs.All, true, runOnMount},
	{"open in directory, later", hungfs.Open, true, allOnMount},
	{"stat of directory, later", hungfs.All, true, allOnMount},
}

func mountHung(t *testing.T, super string) *hungfs.FS {
	harness.NeedRoot(t)
	if why := hungfs.Available(); why != "" {
		harness.Skip(t, "%s", why)
	}
	return hungfs.Mount(t, t.TempDir(),
		hungfs.Entry{Name: "run", Text: hungRun, Mode: 0o755},
		hungfs.Entry{Name: "broken", Text: "#!/nonexistent/interpreter\n", Mode: 0o755},
		hungfs.Entry{Name: "supervise", Link: super})
}

// TestHungFileSystem: what one service waits for keeps no other, and not the end of the daemon.
func TestHungFileSystem(t *testing.T) {
	t.Parallel()
	for _, procs := range []string{"", "1"} {
		for _, h := range hangs {
			for _, released := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/procs=%s/released=%v", h.name, procs, released), func(t *testing.T) {
					t.Parallel()
					testHang(t, h, procs, released)
				})
			}
		}
	}
}

func testHang(t *testing.T, h hang, procs string, released bool) {
	top := t.TempDir()
	root := join(top, "root")
	fs := mountHung(t, join(top, "super"))
	a, m, z := rig.Service(t, root, "a", rig.Sleeper), rig.Service(t, root, "m", rig.Sleeper), rig.Service(t, root, "z", rig.Sleeper)
	crashes := join(top, "crashes")
	rig.Service(t, root, "crash", "#!/bin/sh\necho >>"+crashes+"\n")
	super := h.lay(t, root, fs.Dir)
	hungPid := func() int { s, _ := rig.StatusOf(super); return s.Pid }
	if !h.late {
		fs.Hold(h.want)
	}

	cmd := rig.Command(t, "--stop-timeout=2s", root)
	cmd.Env = append(cmd.Environ(), "GOGC=1") // a collection stops the world, or tries to
	if procs != "" {
		cmd.Env = append(cmd.Env, "GOMAXPROCS="+procs)
	}
	u := rig.Start(t, cmd)
	t.Cleanup(fs.Release) // before anything waits for the end of those who hang
	if h.late {
		var pid int
		harness.Eventually(t, "hung is up", func() bool { pid = hungPid(); return pid != 0 && u.Says("hung: it runs") })
		fs.Hold(h.want)
		kill(t, pid, syscall.SIGKILL)
	}
	harness.Eventually(t, "a request hangs", func() bool { return fs.Held() > 0 })

	answers(t, a, m, z)
	before := size(crashes)
	harness.Eventually(t, "the other service crashes and restarts", func() bool { return size(crashes) >= before+2 })
	pid := rig.Up(t, m)
	kill(t, pid, syscall.SIGKILL)
	rig.NewPid(t, m, pid)
	answers(t, rig.Service(t, root, "new", rig.Sleeper))
	if fs.Held() == 0 {
		t.Error("nothing hangs any more")
	}

	if !released {
		stopsWhileHung(t, u, fs)
		return
	}
	runs := func() int { return strings.Count(u.Output(), "hung: it runs") }
	earlier := runs()
	fs.Release()
	harness.Eventually(t, "hung comes up", func() bool {
		pid := hungPid()
		return pid != 0 && rig.Alive(pid) && runs() > earlier
	})
	if code := u.Stop(syscall.SIGTERM, 2*time.Second+slack); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// stopsWhileHung sends TERM to a daemon of which threads may wait in the kernel, deaf even to KILL. In
// time only they may be left.
func stopsWhileHung(t *testing.T, u *rig.Upkeep, fs *hungfs.FS) {
	t.Helper()
	begin := time.Now()
	kill(t, u.Pid(), syscall.SIGTERM)
	harness.Eventually(t, "the daemon ends", func() bool { return rig.Ended(u.Pid()) })
	if took := time.Since(begin); took > 2*time.Second+slack {
		t.Errorf("it took %v to end", took)
	}
	fs.Release()
	if code := u.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// slack is how much later than its deadline the daemon may end on a busy machine.
const slack = 20 * time.Second

// TestHungInSilence: the kernel gives a signal to one thread of the process, the death of a child to
// the one that forked it, and does not look whether that one hangs. Here nothing happens that could
// wake another: each single death must be noticed all the same, and TERM at the end.
func TestHungInSilence(t *testing.T) {
	t.Parallel()
	const threads = 40 // more than the daemon has idle ones
	top := t.TempDir()
	root := join(top, "root")
	fs := mountHung(t, "nowhere")
	var live [8]string
	for i := range live {
		live[i] = rig.Service(t, root, fmt.Sprintf("live%d", i), rig.Sleeper)
	}
	var hung [threads]string
	for i := range hung {
		dir := rig.Service(t, top, "building", "")
		remove(t, join(dir, "run"))
		symlink(t, join(fs.Dir, "run"), join(dir, "run"))
		hung[i] = join(root, fmt.Sprintf("hung%02d", i))
		rename(t, dir, hung[i])
	}
	u := rig.StartOn(t, root, "--stop-timeout=2s")
	t.Cleanup(fs.Release)
	for _, dir := range hung {
		rig.Up(t, dir)
	}
	for _, dir := range live {
		rig.Up(t, dir)
	}
	fs.Hold(hungfs.All) // so that the daemon's own threads hang, not only children
	for i, dir := range hung {
		kill(t, rig.Up(t, dir), syscall.SIGKILL)
		harness.Eventually(t, "one more request hangs", func() bool { return fs.Held() > i })
	}
	for _, dir := range live {
		pid := rig.Up(t, dir)
		kill(t, pid, syscall.SIGKILL)
		rig.NewPid(t, dir, pid)
	}
	stopsWhileHung(t, u, fs)
}

// TestRemoteStarts: why a program on a file system that may hang cannot be executed is said, and no end of one that
// can leaves a descriptor open. Both are the business of a thread that has the daemon's descriptors.
func TestRemoteStarts(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	root := join(top, "root")
	fs := mountHung(t, "nowhere")
	rig.Service(t, root, "local", rig.Sleeper)
	dirs := [2]string{join(root, "good"), join(root, "bad")}
	for i, run := range []string{"run", "broken"} {
		dir := rig.Service(t, top, "building", "")
		remove(t, join(dir, "run"))
		symlink(t, join(fs.Dir, run), join(dir, "run"))
		rename(t, dir, dirs[i])
	}
	u := rig.StartOn(t, root, "--stop-timeout=2s")
	u.EventuallySays("bad", "cannot start ./run: no such file or directory")
	rig.Client(t, "svc", "-d", dirs[1])
	pid := rig.Up(t, dirs[0])
	pipes := func() (n int) {
		list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", u.Pid()))
		for _, fd := range list {
			to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", u.Pid(), fd.Name()))
			if strings.HasPrefix(to, "pipe:") {
				n++
			}
		}
		return n
	}
	before := pipes()
	for range 4 {
		kill(t, pid, syscall.SIGKILL)
		pid = rig.NewPid(t, dirs[0], pid)
	}
	harness.Eventually(t, "as many pipes are open as before", func() bool { return pipes() <= before })
	if code := u.Stop(syscall.SIGTERM, harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestEarlierServiceHangs: where an earlier upkeep has supervised something on a file system that hangs now, the others
// are still stopped as they should be.
func TestEarlierServiceHangs(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	root := join(top, "root")
	fs := mountHung(t, "nowhere")
	bye := join(top, "bye")
	dir := rig.Service(t, root, "kind", "#!/bin/sh\ntrap 'echo >"+bye+"; exit' TERM\nwhile :; do sleep 0.05; done\n")
	u := rig.StartOn(t, root, "--stop-timeout=10s")
	rig.Up(t, dir)
	u.Process.Process.Kill()
	u.Wait()
	harness.WriteFile(t, join(root, ".upkeep", "services"), fmt.Sprintf("%q %q\n", "hung", fs.Dir), 0o644)
	fs.Hold(hungfs.All)
	u = rig.StartOn(t, root, "--stop-timeout=10s")
	t.Cleanup(fs.Release)
	harness.Eventually(t, "a request hangs", func() bool { return fs.Held() > 0 })
	kill(t, u.Pid(), syscall.SIGTERM)
	harness.Eventually(t, "the daemon ends", func() bool { return rig.Ended(u.Pid()) })
	fs.Release() // of the thread that waits in the kernel, deaf even to KILL
	u.Wait()
	if _, err := os.Stat(bye); err != nil {
		t.Error("the other service was killed")
	}
}

// TestHungPoll: a file that is opened is also polled by who opens it as Go's os package does. Nothing
// may wait for that.
func TestHungPoll(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	root := join(top, "root")
	fs := mountHung(t, join(top, "super"))
	fs.Hold(hungfs.Poll)
	a := rig.Service(t, root, "a", rig.Sleeper)
	allOnMount(t, root, fs.Dir)
	u := rig.StartOn(t, root)
	t.Cleanup(fs.Release)
	u.EventuallySays("hung: it runs")
	answers(t, a)
	if fs.Held() != 0 {
		t.Error("a file of the service was polled")
	}
}

// TestHungLogger: a logger that can't be executed yet keeps neither its service nor another.
func TestHungLogger(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	root := join(top, "root")
	fs := mountHung(t, "nowhere")
	fs.Hold(hungfs.Open)
	a := rig.Service(t, root, "a", rig.Sleeper)
	web := rig.Service(t, top, "web", rig.Sleeper, "log/down", "")
	remove(t, join(web, "log", "down"))
	symlink(t, join(fs.Dir, "run"), join(web, "log", "run"))
	rename(t, web, join(root, "web"))
	web = join(root, "web")
	u := rig.StartOn(t, root, "--stop-timeout=2s")
	t.Cleanup(fs.Release)
	harness.Eventually(t, "the logger hangs", func() bool { return fs.Held() > 0 })
	answers(t, a, web)
	fs.Release()
	rig.Up(t, join(web, "log"))
	if code := u.Stop(syscall.SIGTERM, 2*time.Second+slack); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestHungRoot: the root itself hangs; what is known goes on, and an end is possible.
func TestHungRoot(t *testing.T) {
	t.Parallel()
	for _, procs := range []string{"", "1"} {
		t.Run("procs="+procs, func(t *testing.T) {
			top := t.TempDir()
			web := rig.Service(t, top, "web", rig.Sleeper)
			harness.NeedRoot(t)
			if why := hungfs.Available(); why != "" {
				harness.Skip(t, "%s", why)
			}
			fs := hungfs.Mount(t, t.TempDir(), hungfs.Entry{Name: "web", Link: web})
			cmd := rig.Command(t, "--stop-timeout=2s", fs.Dir)
			if procs != "" {
				cmd.Env = append(cmd.Environ(), "GOMAXPROCS="+procs)
			}
			u := rig.Start(t, cmd)
			t.Cleanup(fs.Release)
			rig.Up(t, web)
			fs.Hold(hungfs.All)
			rescan(t, u)
			harness.Eventually(t, "the rescan hangs", func() bool { return fs.Held() > 0 })
			rescan(t, u)
			answers(t, web)
			stopsWhileHung(t, u, fs)
		})
	}
}

// TestManyHang: more services hang than the machine has processors, and than the daemon has threads
// at its start.
func TestManyHang(t *testing.T) {
	t.Parallel()
	const n = 40
	top := t.TempDir()
	root := join(top, "root")
	fs := mountHung(t, "nowhere")
	fs.Hold(hungfs.Open) // of lookups of the same name the kernel sends only one
	for i := range n {
		dir := rig.Service(t, top, "building", "")
		remove(t, join(dir, "run"))
		symlink(t, join(fs.Dir, "run"), join(dir, "run"))
		rename(t, dir, join(top, fmt.Sprintf("h%02d", i)))
	}
	rig.Service(t, root, "a", rig.Sleeper)
	for i := range n {
		rename(t, join(top, fmt.Sprintf("h%02d", i)), join(root, fmt.Sprintf("h%02d", i)))
	}
	z := rig.Service(t, root, "z", rig.Sleeper)
	u := rig.StartOn(t, root, "--stop-timeout=2s")
	t.Cleanup(fs.Release)
	harness.Eventually(t, "all hang", func() bool { return fs.Held() >= n })
	answers(t, join(root, "a"), z)
	fs.Release()
	for i := range n {
		rig.Up(t, join(root, fmt.Sprintf("h%02d", i)))
	}
	u.Lives()
}
