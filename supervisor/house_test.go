package supervisor

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	notify "os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/reaper"
)

// patience only ends a test that has failed already.
const patience = 2 * time.Minute

// children is the one reaper of the process, whatever supervises.
var children reaper.Reaper

func TestMain(m *testing.M) {
	if reaper.IsTrampoline(os.Args[0]) {
		reaper.Trampoline(os.Args[1:])
		os.Exit(111)
	}
	if os.Args[0] == "./run" || os.Args[0] == "./tell" {
		tellSignals()
		return
	}
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		panic(err)
	}
	hints := make(chan os.Signal, 1)
	notify.Notify(hints, unix.SIGCHLD)
	go func() {
		for range hints {
			children.Sweep()
		}
	}()
	os.Exit(m.Run())
}

// tellSignals is a service that says which signals it gets. TERM ends it with code 7, unless there is a
// file "stubborn".
func tellSignals() {
	got := make(chan os.Signal, 9)
	notify.Notify(got, unix.SIGHUP, unix.SIGALRM, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGUSR1,
		unix.SIGUSR2, unix.SIGWINCH, unix.SIGCONT)
	if name := os.Getenv("NOTIFY_SOCKET"); name != "" {
		if err := sendNotice(name, "STATUS=all is well\nREADY=1"); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("start")
	for s := range got {
		fmt.Println(strings.TrimPrefix(unix.SignalName(s.(unix.Signal)), "SIG"))
		if _, err := os.Stat("stubborn"); err != nil && s == unix.SIGTERM {
			os.Exit(7)
		}
	}
}

func sendNotice(name, text string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, []byte(text), 0, &unix.SockaddrUnix{Name: name})
}

// A house has the goroutine that owns Supervisors, and keeps what they say.
type house struct {
	t    *testing.T
	host *Host

	mu    sync.Mutex
	queue []func()
	wake  chan struct{}
	quit  chan struct{}
	ended chan struct{}

	// The rest is the goroutine's.
	waiting []*waiter
	said    []string // warnings, and starts that failed
	guests  []*guest
}

type waiter struct {
	cond func() bool
	done chan struct{}
}

func newHouse(t *testing.T) *house {
	t.Helper()
	controls, err := NewControls(nil)
	if err != nil {
		t.Fatal(err)
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, wake: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{})}
	h.host = &Host{
		Post: h.post, PostLater: h.post, PostEnd: h.postEnd, Reaper: &children, Pool: &Pool{}, Controls: controls,
		Warn: func(who, format string, args ...any) {
			h.said = append(h.said, who+": "+fmt.Sprintf(format, args...))
		},
		StartError: func(dir string, err error) {
			h.said = append(h.said, fmt.Sprintf("unable to start %s/run: %v", dir, err))
		},
		Env:    append(os.Environ(), "GORACE=atexit_sleep_ms=0"),
		Stderr: null,
	}
	go h.run()
	t.Cleanup(func() {
		close(h.quit)
		<-h.ended
		controls.Close()
		unix.Close(null)
	})
	return h
}

func (h *house) postEnd(_ func() bool, f func()) { h.post(f) }

func (h *house) post(f func()) {
	h.mu.Lock()
	h.queue = append(h.queue, f)
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *house) run() {
	defer close(h.ended)
	for {
		select {
		case <-h.wake:
		case <-h.quit:
			return
		}
		for {
			h.mu.Lock()
			if len(h.queue) == 0 {
				h.mu.Unlock()
				break
			}
			f := h.queue[0]
			h.queue = h.queue[1:]
			h.mu.Unlock()
			f()
			h.waiting = slices.DeleteFunc(h.waiting, func(w *waiter) bool {
				if w.cond() {
					close(w.done)
					return true
				}
				return false
			})
		}
	}
}

// do runs f on the goroutine and returns when it is done.
func (h *house) do(f func()) {
	done := make(chan struct{})
	h.post(func() { f(); close(done) })
	<-done
}

// until waits until cond holds on the goroutine.
func (h *house) until(what string, cond func() bool) {
	h.t.Helper()
	w := &waiter{cond: cond, done: make(chan struct{})}
	h.post(func() { h.waiting = append(h.waiting, w) })
	select {
	case <-w.done:
	case <-time.After(patience):
		var said []string
		h.do(func() {
			said = slices.Clone(h.said)
			for _, g := range h.guests {
				said = append(said, fmt.Sprintf("%s is %+v, pid %d", g.s.Name, g.s.state, g.s.pid))
			}
		})
		h.t.Fatalf("waited in vain until %s; %s", what, strings.Join(said, "\n"))
	}
}

// heard takes away what was said so far.
func (h *house) heard() (said []string) {
	h.do(func() { said, h.said = h.said, nil })
	return said
}

// A guest is a service with its Supervisor.
type guest struct {
	h        *house
	s        *Supervisor
	dir      string
	out      *bufio.Reader // what it writes
	begun    bool
	taken    bool
	released bool
	refused  error
	died     []string
}

// guest makes a service whose run is a script, or with an empty one the program that tells its signals.
// It has not begun.
func (h *house) guest(name, script string, files ...string) *guest {
	h.t.Helper()
	base, err := filepath.EvalSymlinks(h.t.TempDir())
	if err != nil {
		h.t.Fatal(err)
	}
	g := &guest{h: h, dir: filepath.Join(base, name)}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	if script == "" {
		self, _ := os.Executable()
		if err := os.Symlink(self, g.file("run")); err != nil {
			h.t.Fatal(err)
		}
	} else {
		g.write("run", script, 0o755)
	}
	for _, f := range files {
		file, text, _ := strings.Cut(f, "=")
		g.write(file, text, 0o644)
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		h.t.Fatal(err)
	}
	// Only who does not block can be given a deadline.
	unix.SetNonblock(p[0], true)
	r := os.NewFile(uintptr(p[0]), "pipe")
	r.SetReadDeadline(time.Now().Add(patience))
	g.out = bufio.NewReader(r)
	h.t.Cleanup(func() { r.Close(); unix.Close(p[1]) })
	g.s = New(h.host, Config{Name: name, Label: name, Path: g.dir, Stdin: h.host.Stderr, Stdout: p[1]}, Events{
		Taken:    func() { g.taken = true },
		Refused:  func(err error) { g.refused = err },
		Released: func() { g.released = true },
		Died: func(status unix.WaitStatus, essential, wanted bool) {
			end := fmt.Sprintf("exit %d", status.ExitStatus())
			if status.Signaled() {
				end = unix.SignalName(status.Signal())
			}
			g.died = append(g.died, fmt.Sprintf("%s, essential %v, wanted %v", end, essential, wanted))
		},
	})
	h.do(func() { h.guests = append(h.guests, g) })
	h.t.Cleanup(h.vacate) // before the directory is removed
	return g
}

func (g *guest) file(name string) string { return filepath.Join(g.dir, name) }

func (g *guest) super(name string) string { return filepath.Join(g.dir, "supervise", name) }

func (g *guest) write(name, text string, mode os.FileMode) {
	g.h.t.Helper()
	os.MkdirAll(filepath.Dir(g.file(name)), 0o755)
	os.Remove(g.file(name))
	if err := os.WriteFile(g.file(name), []byte(text), mode); err != nil {
		g.h.t.Fatal(err)
	}
}

func (g *guest) begin() { g.h.do(func() { g.begun = true; g.s.Begin() }) }

// says waits for lines of the service's output.
func (g *guest) says(lines ...string) {
	g.h.t.Helper()
	for _, want := range lines {
		line, err := g.out.ReadString('\n')
		if strings.TrimSuffix(line, "\n") != want {
			g.h.t.Fatalf("%s says %q, %v; want %q", g.s.Name, line, err, want)
		}
	}
}

// fifo makes one in the service directory, for scripts that wait until they are fed.
func (g *guest) fifo(name string) {
	g.h.t.Helper()
	if err := unix.Mkfifo(g.file(name), 0o600); err != nil {
		g.h.t.Fatal(err)
	}
}

// feed lets the script that reads a line from the FIFO go on.
func (g *guest) feed(name string) {
	g.h.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		f, err := os.OpenFile(g.file(name), os.O_WRONLY|unix.O_NONBLOCK, 0)
		if err == nil {
			f.WriteString("\n")
			f.Close()
			return
		}
		if !errors.Is(err, unix.ENXIO) || time.Now().After(end) {
			g.h.t.Fatal(err)
		}
	}
}

func (g *guest) pid() (pid int) {
	g.h.do(func() { pid = g.s.pid })
	return pid
}

// crash gives a service's Supervisor up as the end of upkeep would, and has another one take the directory up.
func (h *house) crash(g *guest) *guest {
	again := &guest{h: h, dir: g.dir, out: g.out}
	again.s = New(h.host, g.s.Config, Events{
		Taken:    func() { again.taken = true },
		Refused:  func(err error) { again.refused = err },
		Released: func() { again.released = true },
	})
	h.do(func() {
		g.s.events.Broken = func() {
			g.released = true
			again.begun = true
			again.s.Begin()
		}
		h.guests = append(h.guests, again)
		h.host.Panicked = func(string, any, []byte) {}
		g.s.breaks("the end", nil)
	})
	return again
}

// svc writes letters as a client does.
func (g *guest) svc(letters string) {
	g.h.t.Helper()
	fd, err := unix.Open(g.super("control"), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		g.h.t.Fatalf("svc -%s: %v", letters, err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(letters)); err != nil {
		g.h.t.Fatalf("svc -%s: %v", letters, err)
	}
}

func (g *guest) until(phase Phase) {
	g.h.t.Helper()
	g.h.until(g.s.Name+" is "+phase.String(), func() bool { return g.s.state.Phase == phase })
}

// written waits until the lane has done what it was asked to.
func (g *guest) written() {
	done := make(chan struct{})
	g.h.do(func() { g.s.lane.Do(func() { close(done) }) })
	select {
	case <-done:
	case <-time.After(patience):
		g.h.t.Error("a lane is stuck")
	}
}

// block holds up the lane until release is called.
func (g *guest) block() (release func()) {
	gate := make(chan struct{})
	g.h.do(func() { g.s.lane.Do(func() { <-gate }) })
	return sync.OnceFunc(func() { close(gate) })
}

// status reads supervise/status as it is when all is written.
func (g *guest) status() []byte {
	g.h.t.Helper()
	g.written()
	b, err := os.ReadFile(g.super("status"))
	if err != nil {
		g.h.t.Error(err)
	}
	return b
}

func (g *guest) info() fsstate.Info {
	g.h.t.Helper()
	g.written()
	b, _ := os.ReadFile(g.super("resume"))
	i, err := fsstate.ParseInfo(b)
	if err != nil {
		g.h.t.Errorf("resume holds %q: %v", b, err)
	}
	return i
}

// free waits until the directory can be taken: a child that is being forked elsewhere has its lock, too,
// up to its exec.
func (g *guest) free() (err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err = g.take(); !errors.Is(err, fsstate.ErrLocked) {
			break
		}
	}
	return err
}

// unheard waits until ok has no reader, with the same indulgence, and returns what a client then gets.
func (g *guest) unheard() (err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var fd int
		if fd, err = unix.Open(g.super("ok"), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			break
		}
		unix.Close(fd)
	}
	return err
}

// take takes the directory and gives it up.
func (g *guest) take() error {
	d, err := fsstate.Take(g.dir, "", nil)
	if err == nil {
		d.Close()
	}
	return err
}

// vacate ends all services, and their supervision.
func (h *house) vacate() {
	h.do(func() {
		for _, g := range h.guests {
			g.s.Stop()
			g.s.Kill()
		}
	})
	h.until("all are gone", func() bool {
		for _, g := range h.guests {
			if g.begun && !g.released && g.refused == nil {
				g.s.Kill() // one that was being started has a pid by now
				return false
			}
		}
		return true
	})
}
