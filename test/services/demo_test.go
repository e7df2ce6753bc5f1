package services_test

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// listing returns what a directory tree holds: names, modes, sizes and times.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil {
			m[path] = info.Mode().String() + " " + info.ModTime().String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDemo(t *testing.T) {
	for _, c := range []struct {
		name string
		stop func(pid int)
	}{
		{"a terminal's interrupt", func(pid int) { syscall.Kill(-pid, syscall.SIGINT) }},
		{"an impatient user's", func(pid int) {
			syscall.Kill(-pid, syscall.SIGINT)
			syscall.Kill(-pid, syscall.SIGINT)
		}},
		{"TERM to the script alone", func(pid int) { syscall.Kill(pid, syscall.SIGTERM) }},
		{"a terminal that closes", func(pid int) { syscall.Kill(-pid, syscall.SIGHUP) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := listing(t, configs("."))
			tmp := t.TempDir()
			cmd := exec.Command(configs("demo-run"))
			cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "UPKEEP_BIN="+filepath.Dir(harness.Bin(t, "upkeep")))
			p := harness.Start(t, syscall.SIGTERM, cmd)
			harness.Eventually(t, "demo-run has said how to look at it", func() bool {
				return strings.Contains(p.Output(), "^C ends it")
			})
			// printed returns the command that demo-run shows for something, to be run as it stands.
			printed := func(word string) string {
				line := regexp.MustCompile(`(?m)^  (.*\b` + word + `.*)$`).FindStringSubmatch(p.Output())
				if line == nil {
					t.Fatalf("no line with %q in:\n%s", word, p.Output())
				}
				return line[1]
			}
			status := func(name, state string) bool {
				out, _ := harness.Run(t, "sh", "-c", printed("svstat"))
				return regexp.MustCompile(`(?m)/service/` + name + `: ` + state).MatchString(out)
			}
			const up, down = `up \(pid \d+\) \d+ seconds$`, `down \d+ seconds$`
			for name, state := range map[string]string{"clock": up, "flaky": up, "sleeper": up, "off": down} {
				harness.Eventually(t, name+" shows "+state, func() bool { return status(name, state) })
			}
			harness.Eventually(t, "clock's log has a line", func() bool {
				out, _ := harness.Run(t, "sh", "-c", strings.Replace(printed("tail"), "-F", "-n 1", 1))
				return strings.Contains(out, ":")
			})
			harness.Run(t, "sh", "-c", printed("svc -u"))
			harness.Eventually(t, "off is up", func() bool {
				return status("off", `up \(pid \d+\) \d+ seconds, normally down`)
			})

			c.stop(p.Process.Pid)
			if code := p.Wait(); code != 0 {
				t.Errorf("demo-run ended with %d; output:\n%s", code, p.Output())
			}
			if left, _ := os.ReadDir(tmp); len(left) != 0 {
				t.Errorf("demo-run left %v", left)
			}
			if left := inDirectory(tmp); len(left) != 0 {
				t.Errorf("demo-run left the processes %v", left)
			}
			if after := listing(t, configs(".")); !maps.Equal(before, after) {
				t.Errorf("demo-run changed configs/ from %v to %v", before, after)
			}
		})
	}
}

// What git, an editor or a copy loses first is the executable bit.
func TestScripts(t *testing.T) {
	runs := 0
	err := filepath.WalkDir(configs("."), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Name() != "run" && e.Name() != "demo-run" {
			return err
		}
		runs++
		if info, err := e.Info(); err != nil || info.Mode()&0o111 != 0o111 {
			t.Errorf("%s is not executable", path)
		}
		if out, code := harness.Run(t, "sh", "-n", path); code != 0 {
			t.Errorf("%s: %s", path, out)
		}
		return nil
	})
	if err != nil || runs < 15 {
		t.Errorf("found %d scripts, %v", runs, err)
	}
}
