package dialects_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// A peer is a supervisor of a root.
type peer struct {
	name string
	ours bool
	scan func(t testing.TB, root string) *exec.Cmd
}

var (
	upkeep = peer{"upkeep", true, func(t testing.TB, root string) *exec.Cmd {
		return rig.Command(t, "--stop-timeout=4s", root)
	}}
	runit = peer{"runit", false, func(t testing.TB, root string) *exec.Cmd {
		return exec.Command(harness.Need(t, "runsvdir")[0], root)
	}}
	s6 = peer{"s6", false, func(t testing.TB, root string) *exec.Cmd {
		return exec.Command(harness.Need(t, "s6-svscan")[0], root)
	}}
)

// both runs a scenario on upkeep and on the supervisor that its directories were written for.
func both(t *testing.T, other peer, scenario func(t *testing.T, s *stage)) {
	t.Parallel()
	for _, p := range []peer{other, upkeep} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			scenario(t, newStage(t, p))
		})
	}
}

// A stage is a root and who supervises it.
type stage struct {
	t      *testing.T
	peer   peer
	root   string
	daemon *rig.Upkeep // or a peer, of which its methods know no more
}

func newStage(t *testing.T, p peer) *stage {
	t.Helper()
	// Not t.TempDir, whose name has the test's: 107 bytes are all that some have for a path.
	base, err := os.MkdirTemp("", "dialects")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, peer: p, root: filepath.Join(base, "root")}
	if err := os.Mkdir(s.root, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		harness.Eventually(t, "nothing is left that was started on the stage", func() bool {
			left := below(base)
			for _, pid := range left {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			return len(left) == 0
		})
		os.RemoveAll(base)
	})
	return s
}

// below returns the processes whose working directory is below base.
func below(base string) (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, l := range links {
		if d, err := os.Readlink(l); err == nil && strings.HasPrefix(d, base+"/") {
			pid, _ := strconv.Atoi(strings.Split(l, "/")[2])
			if rig.Alive(pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// service makes a service directory, as rig.Service does.
func (s *stage) service(name, run string, files ...string) *service {
	s.t.Helper()
	return &service{s, name, rig.Service(s.t, s.root, name, run, files...)}
}

// open starts the supervisor.
func (s *stage) open() {
	s.t.Helper()
	s.daemon = rig.Start(s.t, s.peer.scan(s.t, s.root))
}

// text is what a file below the stage's base holds.
func (s *stage) text(name string) string {
	b, _ := os.ReadFile(filepath.Join(filepath.Dir(s.root), name))
	return string(b)
}

// run runs a client that is installed, which must succeed.
func (s *stage) run(name string, args ...string) string {
	s.t.Helper()
	out, code := harness.Run(s.t, harness.Need(s.t, name)[0], args...)
	if code != 0 {
		s.t.Errorf("%s %q: exit code %d, %s", name, args, code, out)
	}
	return out
}

// A service is one that is seen from outside.
type service struct {
	*stage
	name string
	dir  string
}

func (v *service) path(name string) string { return filepath.Join(v.dir, name) }

// text is what a file of the service holds, "" if there is none.
func (v *service) text(name string) string {
	b, _ := os.ReadFile(v.path(name))
	return string(b)
}

// await waits until a file holds just this.
func (v *service) await(name, want string) {
	v.t.Helper()
	await(v.t, v.name+"/"+name, want, func() string { return v.text(name) })
}

// await waits until what is seen is as wanted.
func await(t testing.TB, what, want string, look func() string) {
	t.Helper()
	got := look()
	for end := time.Now().Add(harness.Patience); got != want; got = look() {
		if time.Now().After(end) {
			t.Fatalf("%s is %q; waited in vain for %q", what, got, want)
		}
		time.Sleep(20 * time.Millisecond) // many looks start a program
	}
}

// gates makes FIFOs at which programs of the service wait: "read x <NAME".
func (v *service) gates(names ...string) *service {
	v.t.Helper()
	for _, name := range names {
		if err := syscall.Mkfifo(v.path(name), 0o644); err != nil {
			v.t.Fatal(err)
		}
	}
	return v
}

// release waits until a program waits at a gate, and lets it read a line.
func (v *service) release(gate, line string) {
	v.t.Helper()
	harness.Eventually(v.t, v.name+" waits at "+gate, func() bool {
		f, err := os.OpenFile(v.path(gate), os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return false
		}
		defer f.Close()
		_, err = f.WriteString(line + "\n")
		return err == nil
	})
}

// status is the status file, empty if there is none.
func (v *service) status() []byte { return []byte(v.text("supervise/status")) }

// pid is the pid in a status of daemontools', runit's or upkeep's, or of s6's, 0 if there is none.
func (v *service) pid() int {
	b := v.status()
	switch {
	case v.peer.name == "s6" && len(b) >= 32:
		return int(binary.BigEndian.Uint64(b[24:]))
	case len(b) >= 18:
		return int(binary.LittleEndian.Uint32(b[12:]))
	}
	return 0
}

// up waits for a living process other than the old one.
func (v *service) up(old int) (pid int) {
	v.t.Helper()
	harness.Eventually(v.t, fmt.Sprintf("%s is up with a pid other than %d", v.name, old), func() bool {
		pid = v.pid()
		return pid != 0 && pid != old && rig.Alive(pid)
	})
	return pid
}

// tell writes letters to the control FIFO in one write.
func (v *service) tell(letters string) {
	v.t.Helper()
	if err := v.told(letters); err != nil {
		v.t.Fatalf("%s: %v", v.name, err)
	}
}

func (v *service) told(letters string) error { return v.wrote("control", letters) }

func (v *service) wrote(fifo, letters string) error {
	f, err := os.OpenFile(v.path("supervise/"+fifo), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(letters)
	return err
}

// supervised waits until somebody listens.
func (v *service) supervised() {
	v.t.Helper()
	harness.Eventually(v.t, v.name+" is supervised", func() bool {
		return v.told("") == nil && (v.peer.name == "s6" || v.wrote("ok", "") == nil)
	})
}

// long is what our svstat --long says.
func (v *service) long() string { return rig.Client(v.t, "svstat", "--long", v.dir) }

// awaitLong waits until svstat --long says all of the words.
func (v *service) awaitLong(words ...string) {
	v.t.Helper()
	said := ""
	await(v.t, fmt.Sprintf("what svstat --long does not say of %s: %q;", v.name, words), "", func() string {
		said = v.long()
		for _, w := range words {
			if !strings.Contains(said, w) {
				return said
			}
		}
		return ""
	})
}

var (
	pidsIn  = regexp.MustCompile(`pid [1-9]\d*`)
	timesIn = regexp.MustCompile(`\b\d+(s\b| seconds)`)
)

// plain is what a client says without what differs from time to time.
func (v *service) plain(said string) string {
	said = strings.ReplaceAll(said, v.dir, "DIR")
	return timesIn.ReplaceAllString(pidsIn.ReplaceAllString(said, "pid P"), "N$1")
}
