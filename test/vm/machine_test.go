// Package vm_test boots machines whose init is upkeep, and machines on which systemd runs upkeep, in QEMU.
// It needs no KVM: a small system is up in two seconds all the same.
//
// What is to be seen is what comes out of the machine's serial line. There is one machine at a time.
package vm_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a machine may take for anything. It only ends a test that has failed already.
const patience = 15 * time.Minute

// A machine is one that QEMU makes up.
type machine struct {
	t       *testing.T
	cmd     *exec.Cmd
	keys    io.Writer // its serial line
	monitor net.Conn
	ended   chan struct{}

	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed when there are more lines
}

// hardware says what a machine has and how it boots.
type hardware struct {
	initramfs string
	disk      string
	more      string // a second disk
	keep      bool   // what is written to the disks stays there
	memory    string // 512M unless it is said
	boot      string // more for the kernel's command line
}

// onOff is QEMU's snapshot option, which discards what is written.
var onOff = map[bool]string{false: "on", true: "off"}

// quiet keeps the kernel's messages from falling into the lines of others. Only panics and the end
// are told.
const quiet = "loglevel=1 panic=-1 "

// boot switches a machine on.
func boot(t *testing.T, h hardware) *machine {
	t.Helper()
	if h.memory == "" {
		h.memory = "512M"
	}
	if !strings.Contains(h.boot, "console=") {
		h.boot = "console=ttyS0 " + h.boot
	}
	args := []string{"-accel", "tcg", "-machine", "pc", "-smp", "2", "-m", h.memory, "-nodefaults", "-no-user-config",
		"-display", "none", "-no-reboot", "-serial", "stdio", "-chardev", "socket,id=monitor,fd=3", "-mon", "monitor",
		"-kernel", kernel(t), "-append", quiet + h.boot}
	if h.initramfs != "" {
		args = append(args, "-initrd", h.initramfs)
	}
	for i, disk := range []string{h.disk, h.more} {
		if disk != "" {
			id := fmt.Sprint("disk", i)
			args = append(args, "-drive", "if=none,format=raw,file="+disk+",id="+id+",snapshot="+onOff[h.keep], "-device", "nvme,serial="+id+",drive="+id)
		}
	}
	m := &machine{t: t, ended: make(chan struct{}), more: make(chan struct{})}
	m.cmd = exec.Command("qemu-system-x86_64", args...)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	ours, theirs := socketPair(t)
	defer theirs.Close()
	m.monitor = ours
	m.cmd.ExtraFiles = []*os.File{theirs}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	m.cmd.Stdout, m.cmd.Stderr = in, in
	keys, err := m.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.keys = keys
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	go io.Copy(io.Discard, m.monitor)
	go m.listen(out)
	t.Cleanup(func() {
		m.cmd.Process.Kill()
		<-m.ended
		m.monitor.Close()
		out.Close()
		if t.Failed() {
			t.Logf("the console:\n%s", strings.Join(m.said(), "\n"))
		}
	})
	return m
}

func socketPair(t *testing.T) (net.Conn, *os.File) {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(pair[0]), "monitor")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	return conn, os.NewFile(uintptr(pair[1]), "monitor")
}

// listen reads the serial line until the machine is off.
func (m *machine) listen(out io.Reader) {
	for in := bufio.NewScanner(out); in.Scan(); {
		m.mu.Lock()
		m.lines = append(m.lines, strings.TrimRight(in.Text(), "\r"))
		close(m.more)
		m.more = make(chan struct{})
		m.mu.Unlock()
	}
	m.cmd.Wait()
	close(m.ended)
}

// said returns the lines so far.
func (m *machine) said() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lines)
}

// says waits until a line holds a text, and returns the line.
func (m *machine) says(what string) string {
	m.t.Helper()
	over := time.After(patience)
	for seen := 0; ; {
		m.mu.Lock()
		fresh, more := m.lines[seen:], m.more
		seen = len(m.lines)
		m.mu.Unlock()
		for _, line := range fresh {
			if strings.Contains(line, what) {
				return line
			}
		}
		select {
		case <-more:
		case <-m.ended:
			if !m.hasSaid(what) {
				m.t.Fatalf("the machine went off without a line with %q", what)
			}
		case <-over:
			m.t.Fatalf("waited in vain for a line with %q", what)
		}
	}
}

// hasSaid tells whether a line so far holds a text.
func (m *machine) hasSaid(what string) bool {
	return slices.ContainsFunc(m.said(), func(line string) bool { return strings.Contains(line, what) })
}

// off waits until the machine is off, by itself. how is the kernel's last word.
func (m *machine) off(how string) {
	m.t.Helper()
	select {
	case <-m.ended:
	case <-time.After(patience):
		m.t.Fatal("the machine stays on")
	}
	if !m.hasSaid(how) {
		m.t.Errorf("it went off without %q", how)
	}
	if m.hasSaid("Kernel panic") {
		m.t.Error("the kernel panicked")
	}
	if code := m.cmd.ProcessState.ExitCode(); code != 0 {
		m.t.Errorf("exit code %d of QEMU", code)
	}
}

// The last words of a kernel.
const (
	powerDown = "reboot: Power down"
	restart   = "reboot: Restarting system"
)

// press presses keys of the machine's keyboard, all at once.
func (m *machine) press(keys string) {
	m.t.Helper()
	if _, err := io.WriteString(m.monitor, "sendkey "+keys+"\n"); err != nil {
		m.t.Fatal(err)
	}
}

// enter writes a line into the machine's serial line.
func (m *machine) enter(line string) {
	m.t.Helper()
	if _, err := io.WriteString(m.keys, line+"\n"); err != nil {
		m.t.Fatal(err)
	}
}
