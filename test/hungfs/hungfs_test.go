package hungfs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"upkeep/test/harness"
	"upkeep/test/hungfs"
)

func mount(t *testing.T) *hungfs.FS {
	harness.NeedRoot(t)
	if why := hungfs.Available(); why != "" {
		harness.Skip(t, "%s", why)
	}
	return hungfs.Mount(t, t.TempDir(),
		hungfs.Entry{Name: "run", Text: "#!/bin/sh\necho it runs\n", Mode: 0o755},
		hungfs.Entry{Name: "plain", Text: "text\n", Mode: 0o644},
		hungfs.Entry{Name: "supervise", Link: "/nonexistent"})
}

// state is the letter of /proc/PID/stat.
func state(pid int) string {
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, after, _ := strings.Cut(string(stat), ") ")
	return after[:min(1, len(after))]
}

func TestAnswers(t *testing.T) {
	fs := mount(t)
	for script, want := range map[string]string{
		"exec ./run":                       "it runs\n",
		"cat plain":                        "text\n",
		"readlink supervise":               "/nonexistent\n",
		"ls -F":                            "plain\nrun*\nsupervise@\n",
		"mkdir new 2>/dev/null || echo no": "no\n",
	} {
		if out, code := harness.Run(t, "/bin/sh", "-c", `cd "$0" && `+script, fs.Dir); code != 0 || out != want {
			t.Errorf("%s: %q, %d", script, out, code)
		}
	}
}

func TestExecBlocks(t *testing.T) {
	for _, test := range []struct {
		name    string
		hold    hungfs.Want
		release func(*hungfs.FS)
		code    int
	}{
		{"open, then answered", hungfs.Open, (*hungfs.FS).Release, 0},
		{"read, then answered", hungfs.Read, (*hungfs.FS).Release, 0},
		{"stat, then answered", hungfs.All, (*hungfs.FS).Release, 0},
		{"open, then aborted", hungfs.Open, (*hungfs.FS).Abort, 126},
		{"stat, then aborted", hungfs.All, (*hungfs.FS).Abort, 126},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := mount(t)
			fs.Hold(test.hold)
			// A shell executes it, so that this process is not the one that hangs in exec.
			p := harness.Start(t, 9, exec.Command("/bin/sh", "-c", `exec "$0"`, filepath.Join(fs.Dir, "run")))
			harness.Eventually(t, "the request is held", func() bool { return fs.Waiting(p.Process.Pid) == 1 })
			harness.Eventually(t, "it sleeps in the kernel", func() bool { return strings.Contains("DS", state(p.Process.Pid)) })
			test.release(fs)
			if code := p.Wait(); code != test.code && !(test.code == 126 && code == 127) {
				t.Errorf("exit code %d", code)
			}
			if test.code == 0 && p.Output() != "it runs\n" {
				t.Errorf("output: %q", p.Output())
			}
		})
	}
}

func TestKill(t *testing.T) {
	for _, killable := range []bool{true, false} {
		fs := mount(t)
		fs.Hold(hungfs.Open)
		if killable {
			fs.Killable()
		}
		p := harness.Start(t, 9, exec.Command("/bin/sh", "-c", `exec "$0"`, filepath.Join(fs.Dir, "run")))
		harness.Eventually(t, "the request is held", func() bool { return fs.Held() == 1 })
		p.Process.Kill()
		if killable {
			p.Wait()
			continue
		}
		harness.Eventually(t, "the wait has become deaf", func() bool { return state(p.Process.Pid) == "D" })
		fs.Release()
		if code := p.Wait(); code != 128+9 {
			t.Errorf("exit code %d", code)
		}
	}
}
