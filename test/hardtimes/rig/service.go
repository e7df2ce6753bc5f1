package rig

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// Sleeper is a run script that lives until a signal ends it.
const Sleeper = "#!/bin/sh\nexec sleep 1000000\n"

// Service makes a service directory in a way that shows it in one piece, and returns its path. files
// are names and contents; a file is executable if it begins with #!.
func Service(t testing.TB, root, name, run string, files ...string) string {
	t.Helper()
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	building, dir := filepath.Join(root, "."+name), filepath.Join(root, name)
	if err := os.Mkdir(building, 0o755); err != nil {
		t.Fatal(err)
	}
	for files = append(files, "run", run); len(files) > 1; files = files[2:] {
		if files[1] == "" {
			files[1] = "\n"
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(files[1], "#!") {
			mode = 0o755
		}
		harness.WriteFile(t, filepath.Join(building, files[0]), files[1], mode)
	}
	if err := os.Rename(building, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A Status is what daemontools' part of supervise/status says.
type Status struct {
	Pid    int
	Paused bool
	Want   byte
}

// StatusOf reads the status in a supervise directory; ok is false where there is none.
func StatusOf(superDir string) (s Status, ok bool) {
	b, err := os.ReadFile(filepath.Join(superDir, "status"))
	if err != nil || len(b) < 18 {
		return Status{}, false
	}
	return Status{int(binary.LittleEndian.Uint32(b[12:])), b[16] != 0, b[17]}, true
}

// Up waits until the service has a living process and returns its pid.
func Up(t testing.TB, dir string) int { return NewPid(t, dir, 0) }

// NewPid waits until the service has a living process that is not the old one.
func NewPid(t testing.TB, dir string, old int) int {
	t.Helper()
	var s Status
	harness.Eventually(t, fmt.Sprintf("%s is up with a pid other than %d", filepath.Base(dir), old), func() bool {
		s, _ = StatusOf(filepath.Join(dir, "supervise"))
		return s.Pid != 0 && s.Pid != old && Alive(s.Pid)
	})
	return s.Pid
}

// Down waits until the service has no process.
func Down(t testing.TB, dir string) {
	t.Helper()
	harness.Eventually(t, filepath.Base(dir)+" is down", func() bool {
		s, ok := StatusOf(filepath.Join(dir, "supervise"))
		return ok && s.Pid == 0
	})
}

// Alive tells whether a process exists and is not a zombie.
func Alive(pid int) bool { return !strings.Contains("ZX", ProcState(pid)) }

// Ended tells whether a process has ended but for threads that the kernel can't wake yet.
func Ended(pid int) bool {
	tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
	for _, task := range tasks {
		stat, _ := os.ReadFile(task)
		_, after, _ := strings.Cut(string(stat), ") ")
		if after != "" && !strings.Contains("DZX", after[:1]) {
			return false
		}
	}
	return true
}

// ProcState is the letter by which /proc/PID/stat tells the state, or X for no process.
func ProcState(pid int) string {
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, after, _ := strings.Cut(string(stat), ") ")
	if after == "" {
		return "X"
	}
	return after[:1]
}

// Svc runs our svc, which must succeed in silence.
func Svc(t testing.TB, letters string, dirs ...string) {
	t.Helper()
	if out := Client(t, "svc", append([]string{"-" + letters}, dirs...)...); out != "" {
		t.Errorf("svc -%s %v: %s", letters, dirs, out)
	}
}

// Client runs one of our programs and returns its output; it must end by itself.
func Client(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, harness.Bin(t, name), args...).CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return string(out)
}

// Supervised tells whether somebody supervises a service directory, as svok does.
func Supervised(dir string) bool {
	fd, err := syscall.Open(filepath.Join(dir, "supervise", "ok"), syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		syscall.Close(fd)
	}
	return err == nil
}
