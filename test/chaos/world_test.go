package chaos_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"math/rand/v2"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// logged is how many of the services, the first, have a logger; fullDisk those, the last, whose supervise
// directories are on a file system that may be full. keeps and closes say when they are ready, and then keep the
// descriptor or do not; follows comes after keeps, and triggered after follows.
const (
	logged    = 2
	keeps     = 2
	closes    = 3
	follows   = 4
	triggered = 5
	fullDisk  = 2
)

// A world is a root with the daemon on it, and what must hold of both.
type world struct {
	*rig.Upkeep
	t                 *testing.T
	top, root, upkeep string
	number            int
	rand              *rand.Rand
	list              []*service
	full              bool // the small file system is
	did               []string
}

// A service is seen from outside, with what is to be expected of it.
type service struct {
	w       *world
	n       int
	dir     string // beside the root
	link    string // the entry
	present bool   // it is an entry
	want    byte   // u, d or o
	pid     int    // of the process that must live, 0 for none or any
	doomed  []int  // processes that were told to end
	touched bool   // its process was ended in this round, or told something
	ended   int    // the logger that was ended last
	losses  []loss // what its logger may have taken along
}

func (w *world) do(what string, s *service) {
	if s != nil {
		what += " " + filepath.Base(s.dir)
	}
	w.did = append(w.did, what)
}

// small mounts a small file system for some supervise directories.
func (w *world) small() {
	harness.NeedRoot(w.t)
	dir := filepath.Join(w.top, "small")
	if err := os.Mkdir(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		harness.Skip(w.t, "cannot mount a tmpfs: %v", err)
	}
	w.t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func (w *world) add(n int) {
	s := &service{w: w, n: n, dir: filepath.Join(w.top, "all", fmt.Sprintf("s%d", n)), want: 'u', present: true}
	s.link = filepath.Join(w.root, filepath.Base(s.dir))
	// The marker is the name of a process that lives as long as the service does.
	script := fmt.Sprintf("#!/bin/sh\nexec sleep 1000000.%s\n", s.marker())
	if s.tells() {
		end := map[int]string{closes: "exec 3>&-; "}[n]
		script = fmt.Sprintf("#!/bin/sh\nexec sh -c 'sleep 0.02; echo >&3; %sexec sleep 1000000.%s'\n", end, s.marker())
		harness.WriteFile(w.t, filepath.Join(s.dir, "notification-fd"), "3\n", 0o644)
	}
	switch n {
	case follows:
		harness.WriteFile(w.t, filepath.Join(s.dir, "after"), fmt.Sprintf("s%d\n", keeps), 0o644)
	case triggered:
		harness.WriteFile(w.t, filepath.Join(s.dir, "trigger"), fmt.Sprintf("../s%d/supervise/status\n", follows), 0o644)
	}
	if s.logs() {
		script = fmt.Sprintf("#!/bin/sh\ni=$(tail -n 1 ../../count%d)\nwhile :; do i=$((i+1)); echo $i; echo $i >>../../count%d; sleep 0.05; done\n", n, n)
		harness.WriteFile(w.t, filepath.Join(w.top, fmt.Sprintf("count%d", n)), "0\n", 0o644)
		log := fmt.Sprintf("#!/bin/sh\nexec %s/multilog n1000000 ../../../log%d\n", filepath.Dir(w.upkeep), n)
		harness.WriteFile(w.t, filepath.Join(s.dir, "log", "run"), log, 0o755)
	}
	harness.WriteFile(w.t, filepath.Join(s.dir, "run"), script, 0o755)
	if n >= services-fullDisk {
		if err := os.Symlink(filepath.Join(w.top, "small", filepath.Base(s.dir)), filepath.Join(s.dir, "supervise")); err != nil {
			w.t.Fatal(err)
		}
	}
	os.MkdirAll(w.root, 0o755)
	if err := os.Symlink(s.dir, s.link); err != nil {
		w.t.Fatal(err)
	}
	w.list = append(w.list, s)
}

func (s *service) logs() bool     { return s.n < logged }
func (s *service) tells() bool    { return s.n == keeps || s.n == closes }
func (s *service) marker() string { return fmt.Sprintf("%05d%02d", s.w.number+1, s.n) }
func (s *service) super() string  { return filepath.Join(s.dir, "supervise") }

func (w *world) open() {
	cmd := exec.Command(w.upkeep, "--stop-timeout=5s", w.root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if dir := rig.OwnGroup(); dir != "" {
		if g, err := os.Open(dir); err == nil {
			defer g.Close()
			cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(g.Fd())
		}
	}
	w.Upkeep = rig.Start(w.t, cmd)
}

// resumed is how often this daemon was executed anew, or -1 if it does not say so now.
func (w *world) resumed() int {
	out, _ := harness.Run(w.t, w.upkeep, "ctl", "status", w.root)
	for line := range strings.Lines(out) {
		if n, ok := strings.CutPrefix(line, "resumed "); ok {
			times, _ := strconv.Atoi(strings.TrimSpace(n))
			return times
		}
	}
	return -1
}

// upgrade executes the daemon anew under clients that must not be refused.
func (w *world) upgrade(how string) {
	s := w.list[0]
	// Only a daemon answers: what one that was killed has forked has its descriptors until it executes its program.
	harness.Eventually(w.t, "the daemon answers", func() bool { return w.resumed() >= 0 })
	harness.Eventually(w.t, "svok says so", func() bool { return exec.Command(w.upkeep, "svok", s.dir).Run() == nil })
	done, failed := make(chan bool), make(chan string, 1)
	go func() {
		for {
			select {
			case <-done:
				failed <- ""
				return
			default:
			}
			if out, err := exec.Command(w.upkeep, "svok", s.dir).CombinedOutput(); err != nil {
				failed <- fmt.Sprintf("%v: %s", err, out)
				return
			}
		}
	}()
	before, begun := -1, time.Now()
	if how == "USR1" {
		harness.Eventually(w.t, "the daemon says how it is", func() bool { before = w.resumed(); return before >= 0 })
		w.Process.Process.Signal(syscall.SIGUSR1)
	}
	harness.Eventually(w.t, "the daemon is upgraded", func() bool {
		if how == "USR1" {
			return w.resumed() > before
		}
		out, code := harness.Run(w.t, w.upkeep, "ctl", "upgrade", w.root)
		if code != 0 && !strings.Contains(out, "no upkeep supervises it") && !strings.Contains(out, "does not say within") {
			w.t.Fatalf("upgrade: %d: %s", code, out)
		}
		return code == 0
	})
	close(done)
	// What is under way for longer than a second is left to the successor, which finds it as after a crash.
	if text := <-failed; text != "" && time.Since(begun) < time.Second {
		w.t.Errorf("a client was refused: %s", text)
	}
}

// fill fills the small file system, or empties it.
func (w *world) fill(full bool) {
	w.do(fmt.Sprintf("full %v", full), nil)
	path := filepath.Join(w.top, "small", "ballast")
	if w.full = full; !full {
		os.Remove(path)
		return
	}
	f, err := os.Create(path)
	if err != nil {
		w.t.Fatal(err)
	}
	for ; err == nil; _, err = f.Write(make([]byte, 4096)) {
	}
	f.Close()
}

// truthful tells whether the daemon can record what the service is.
func (s *service) truthful() bool { return !s.w.full || s.n < services-fullDisk }

func (s *service) supervised() {
	s.w.t.Helper()
	harness.Eventually(s.w.t, filepath.Base(s.dir)+" is supervised", func() bool { return s.write("") })
}

// write writes letters into control; false where nobody listens.
func (s *service) write(letters string) bool {
	fd, err := unix.Open(filepath.Join(s.super(), "control"), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(letters))
	return err == nil
}

func (s *service) letter(c byte) {
	if !s.present && !s.held() || !s.truthful() {
		return
	}
	s.w.do("letter "+string(c), s)
	s.touched = true
	switch c {
	case 'u', 'd', 'o':
		s.want = c
	}
	s.supervised()
	switch c {
	case 'd':
		s.dooms()
	case 't':
		if s.want != 'd' && !s.begun() { // it would be sent to whatever is started next
			return
		}
		s.dooms()
		s.write("tc") // it may be paused
		return
	}
	s.write(string(c))
}

// begun tells whether a process runs that was not told to end.
func (s *service) begun() bool {
	return slices.ContainsFunc(s.processes(), func(pid int) bool { return !slices.Contains(s.doomed, pid) })
}

// dooms says that what runs is to end.
func (s *service) dooms() []int {
	s.doomed = append(s.doomed, s.processes()...)
	s.pid = 0
	return s.doomed
}

// held tells whether somebody supervises it.
func (s *service) held() bool { return s.write("") }

// killed kills the process.
func (s *service) killed() {
	if s.logs() && !s.logged() {
		s.supervised()
	}
	s.touched = true
	for _, pid := range s.dooms() {
		unix.Kill(pid, unix.SIGKILL)
	}
}

// kill kills the daemon and starts another one.
func (w *world) kill() {
	w.t.Helper()
	for _, s := range w.list[:logged] {
		if !s.lasts() {
			harness.Eventually(w.t, "somebody but the daemon has the log pipe", s.logged)
		}
	}
	w.Process.Process.Kill()
	w.Wait()
	w.open()
}

// come lets it be an entry, or no longer. Then it is told to leave, as the manual says.
func (s *service) come(in bool) {
	if !s.truthful() {
		return
	}
	s.w.do(fmt.Sprintf("present %v", in), s)
	s.present, s.pid = in, 0
	if in {
		s.want = 'u'
		if err := os.Symlink(s.dir, s.link); err != nil {
			s.w.t.Fatal(err)
		}
		return
	}
	s.supervised()
	os.Remove(s.link)
	s.write("dx")
	harness.Eventually(s.w.t, filepath.Base(s.dir)+" is left", func() bool {
		gone := !s.held() && len(s.processes()) == 0
		if !gone {
			s.write("dx")
		}
		return gone
	})
}

// waits tells whether what is to be there before it is started is not.
func (s *service) waits() bool {
	switch s.n {
	case follows:
		other := s.w.list[keeps]
		return !other.present || other.info().Phase != "ready"
	case triggered:
		return len(s.w.list[follows].processes()) == 0
	}
	return false
}

func (s *service) info() fsstate.Info {
	b, _ := os.ReadFile(filepath.Join(s.super(), "resume"))
	i, _ := fsstate.ParseInfo(b)
	return i
}

// processes are those that run for it now.
func (s *service) processes() (list []int) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		pid, _ := strconv.Atoi(filepath.Base(p))
		cmdline, _ := os.ReadFile(p + "/cmdline")
		args := strings.ReplaceAll(string(cmdline), "\x00", " ")
		mark := s.marker()
		if s.logs() {
			mark = "/bin/sh ./run"
		}
		ours := strings.Contains(args, mark) && !strings.Contains(parent(pid), mark) // it forks
		if ours && s.logs() {
			at, _ := os.Readlink(p + "/cwd")
			ours = at == s.dir
		}
		if ours && rig.Alive(pid) {
			list = append(list, pid)
		}
	}
	return list
}

// parent is the command line of a process's parent.
func parent(pid int) string {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(f) < 2 {
		return ""
	}
	cmdline, _ := os.ReadFile("/proc/" + f[1] + "/cmdline")
	return strings.ReplaceAll(string(cmdline), "\x00", " ")
}

// holds waits until each service is as the oracle says. What a letter that a dying daemon had read was lost with
// it, is said again, and must hold then.
func (w *world) holds() {
	w.t.Helper()
	for _, s := range w.list {
		s.holds()
		s.touched = false
	}
}

func (s *service) holds() {
	t := s.w.t
	t.Helper()
	began, said := time.Now(), time.Now()
	last := ""
	for {
		now := s.processes()
		s.doomed = slices.DeleteFunc(s.doomed, func(pid int) bool { return !slices.Contains(now, pid) })
		want := 0
		switch {
		case !s.present:
		case s.want == 'u' && s.pid == 0 && s.waits():
			want = min(len(now), 1) // it runs if it was started before
		case s.want == 'u':
			want = 1
		case s.want == 'o':
			want = min(len(now), 1) // whether it has run already nobody knows
		}
		last = fmt.Sprintf("%d processes %v, want %d (%c), had pid %d", len(now), now, want, s.want, s.pid)
		if len(s.doomed) == 0 && len(now) == want && (s.pid == 0 || want == 0 || now[0] == s.pid) && (!s.present || s.agrees(now)) {
			if s.pid = 0; want == 1 && s.want == 'u' {
				s.pid = now[0]
			}
			return
		}
		if s.pid != 0 && want == 1 && len(now) == 1 && now[0] != s.pid {
			t.Fatalf("%s was started again: %s", s.dir, last)
		}
		if len(now) > 1 && time.Since(began) > harness.Patience/2 { // longer than a child of one that was killed may take to execute something
			t.Fatalf("%s: %s", s.dir, last)
		}
		if time.Since(said) > time.Second/2 {
			said = time.Now()
			s.write(string(s.want) + "c")
			for _, pid := range s.doomed { // it is the letter t that was lost
				if s.want != 'd' {
					unix.Kill(pid, unix.SIGKILL)
				}
			}
		}
		if time.Since(began) > harness.Patience {
			t.Fatalf("%s: %s; status %+v", s.dir, last, s.status())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (s *service) status() any {
	st, ok := rig.StatusOf(s.super())
	return fmt.Sprintf("%+v %v", st, ok)
}

// explain says how everything is after a failure.
func (w *world) explain() {
	for _, s := range w.list {
		info, _ := os.ReadFile(filepath.Join(s.super(), "resume"))
		w.t.Logf("%s: present %v, want %c, held %v, status %v, resume %s", filepath.Base(s.dir), s.present, s.want, s.held(), s.status(), info)
		if s.logs() {
			info, _ = os.ReadFile(filepath.Join(s.dir, "log", "supervise", "resume"))
			w.t.Logf("its logger: resume %s", info)
		}
		for _, pid := range s.processes() {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			group, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
			w.t.Logf("%q %s %s", cmdline, stat, group)
		}
	}
}

// agrees tells whether the status is the truth and can be read, where it can be written.
func (s *service) agrees(now []int) bool {
	if !s.truthful() {
		return true
	}
	st, ok := rig.StatusOf(s.super())
	if !ok || !s.held() {
		return false
	}
	info, _ := os.ReadFile(filepath.Join(s.super(), "resume"))
	i, err := fsstate.ParseInfo(info)
	if err != nil {
		return false
	}
	if len(now) == 0 {
		return st.Pid == 0
	}
	return st.Pid == now[0] && (!s.tells() || s.want != 'u' || i.Pause || i.Phase == "ready")
}

// holdsAll checks what takes longer.
func (w *world) holdsAll() {
	w.t.Helper()
	w.holds()
	harness.Eventually(w.t, "there is no zombie", func() bool {
		procs, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, p := range procs {
			stat, _ := os.ReadFile(p)
			f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
			if len(f) > 2 && f[0] == "Z" && f[1] == strconv.Itoa(w.Pid()) {
				return false
			}
		}
		return true
	})
	w.confined()
	for _, s := range w.list[:logged] {
		s.contiguous()
	}
}

// confined fails the test if the root has a group of a service that is none, or a process of one that is down.
func (w *world) confined() {
	w.t.Helper()
	last := ""
	defer func() {
		if w.t.Failed() {
			w.t.Logf("there is %s", last)
		}
	}()
	groups := filepath.Join(rig.OwnGroup(), "upkeep-"+filepath.Base(w.root)+"-*")
	harness.Eventually(w.t, "there are no other groups and processes than those of services", func() bool {
		known := map[string]byte{"supervisor": 'u'}
		for _, s := range w.list {
			if s.present {
				known[filepath.Base(s.dir)] = s.want
			}
		}
		dirs, _ := filepath.Glob(groups + "/*/")
		for _, dir := range dirs {
			name, _, _ := strings.Cut(filepath.Base(dir), ".")
			want, is := known[name]
			procs, _ := os.ReadFile(filepath.Join(dir, "run", "cgroup.procs"))
			if !is || want == 'd' && len(procs) > 0 {
				last = fmt.Sprintf("%s: %q", dir, procs)
				return false
			}
		}
		return true
	})
}

// end stops the daemon: nothing is left.
func (w *world) end() {
	w.t.Helper()
	if w.full {
		w.fill(false)
	}
	if code := w.Stop(syscall.SIGTERM, harness.Patience); code != 0 {
		w.t.Errorf("exit code %d", code)
	}
	for _, s := range w.list[:logged] {
		s.contiguous()
		s.complete()
	}
	for _, s := range w.list {
		if left := s.processes(); len(left) > 0 {
			w.t.Errorf("%s: left behind: %v", s.dir, left)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(rig.OwnGroup(), "upkeep-"+filepath.Base(w.root)+"-*")); len(left) > 0 && rig.OwnGroup() != "" {
		w.t.Errorf("groups left behind: %v", left)
	}
}
