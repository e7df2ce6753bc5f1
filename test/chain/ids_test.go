package chain_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

// names are the accounts of this machine and what is none.
func names(t *testing.T) []string {
	b, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	list := []string{"", "0", "65534", "65534:65534", "ROOT", "no such", "root:x", "+", "#"}
	for line := range strings.Lines(string(b)) {
		name, _, _ := strings.Cut(line, ":")
		list = append(list, name)
	}
	return list
}

const ids = "id -u; id -g; grep -E '^(Uid|Gid|Groups|Cap|SigBlk|SigIgn|SigCgt)' /proc/self/status; ulimit -Sn; ulimit -Hn; env; pwd"

func TestAccounts(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	need(t, "setuidgid")
	for _, name := range names(t) {
		for _, command := range []string{"setuidgid", "envuidgid"} {
			compare(t, command, run{args: []string{name, "sh", "-c", ids}, env: []string{"PATH=/usr/bin:/bin", "UID=7", "A=1", "GID=", "HOME=/x"}, dir: "/"})
		}
	}
	for _, args := range [][]string{{}, {"root"}, {"nobody", "missing"}, {"nobody", "setuidgid", "nobody", "true"}, {"nobody", "setuidgid", "root", "true"}} {
		compareButUsage(t, "setuidgid", run{args: args})
		compareButUsage(t, "envuidgid", run{args: args})
	}
	ours := harness.Bin(t, "setuidgid")
	if strings.HasPrefix(ours, "/root/") {
		return
	}
	golden(t, "setuidgid", run{args: []string{"nobody", ours, "nobody", "true"}}, result{stderr: "setuidgid: fatal: unable to setgid: permission denied\n", code: 111})
}

func TestAccountsOfEncore(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	const usage = "setuidgid: usage: setuidgid [-s] account child\n"
	golden(t, "setuidgid", run{args: []string{"-s", "x"}}, result{stderr: usage, code: 100})
	golden(t, "setuidgid", run{args: []string{"-x", "x"}}, result{stderr: "setuidgid: illegal option -- x\n" + usage, code: 100})
	golden(t, "setuser", run{args: []string{"x"}}, result{stderr: "setuser: usage: setuser account child\n", code: 100})
	golden(t, "setuser", run{args: []string{"no such", "x"}}, result{stderr: "setuser: fatal: unknown account no such\n", code: 111})
	for _, name := range names(t)[9:] {
		groups, err := exec.Command("id", "-G", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "setuidgid", run{args: []string{"-s", name, "id", "-G"}}, result{stdout: string(groups)})
	}
	golden(t, "setuser", run{env: []string{"HOME=x", "A=1"}, args: []string{"sys", "/usr/bin/env"}},
		result{stdout: "A=1\nHOME=/dev\nSHELL=/usr/sbin/nologin\nUSER=sys\nGID=3\nUID=3\n"})
	golden(t, "setuser", run{args: []string{"sys", "sh", "-c", "pwd; id -un"}}, result{stdout: "/dev\nsys\n"})
}

func TestPgrphack(t *testing.T) {
	t.Parallel()
	need(t, "pgrphack")
	compare(t, "pgrphack", run{})
	for _, path := range []string{"/usr/bin/pgrphack", harness.Bin(t, "pgrphack")} {
		out := run{args: []string{"sh", "-c", "cut -d' ' -f1,5,6 /proc/$$/stat"}}.of(t, path)
		f := strings.Fields(out.stdout)
		if len(f) != 3 || f[0] != f[1] || f[0] != f[2] {
			t.Errorf("%s: pid, group and session are %q", path, f)
		}
	}
}

func TestSetlock(t *testing.T) {
	t.Parallel()
	need(t, "setlock")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "held"), "text", 0o600)
	held, err := os.Open(filepath.Join(dir, "held"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	for _, options := range []string{"-n", "-nx", "-nxX", "-Nn", "-n -x", "-nX --", "-z"} {
		for _, file := range []string{"held", "free", "missing/x", ".", ""} {
			for _, child := range []string{"true", "missing", ""} {
				compare(t, "setlock", run{dir: dir, args: append(strings.Fields(options), file, child)})
			}
			compare(t, "setlock", run{dir: dir, args: append(strings.Fields(options), file)})
		}
	}
	compare(t, "setlock", run{dir: dir, args: []string{"free", "sh", "-c", "ls /proc/$$/fd; readlink /proc/$$/fd/3; grep flags /proc/$$/fdinfo/3"}})
	for _, program := range []string{"/usr/bin/setlock", harness.Bin(t, "setlock")} {
		cmd := exec.Command(program, "held", "true")
		cmd.Dir = dir
		p := harness.Start(t, syscall.SIGTERM, cmd)
		harness.Eventually(t, "setlock waits", func() bool {
			b, _ := os.ReadFile("/proc/locks")
			return strings.Contains(string(b), "-> FLOCK  ADVISORY  WRITE "+strconv.Itoa(p.Process.Pid)+" ")
		})
		syscall.Flock(int(held.Fd()), syscall.LOCK_UN)
		if code := p.Wait(); code != 0 {
			t.Errorf("%s: exit code %d", program, code)
		}
		if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFghack(t *testing.T) {
	t.Parallel()
	need(t, "fghack")
	compare(t, "fghack", run{})
	for _, script := range []string{
		"exit 5", "kill -9 $$", "sleep 0.2 & exit 7", "ls /proc/$$/fd", "cat; echo err >&2", "for i in 3 4 5 6; do eval \"exec $i>&-\"; done; sleep 0.2 & exit 1",
		"exec 3>&1; ls /proc/$$/fd",
	} {
		compare(t, "fghack", run{stdin: "in", args: []string{"sh", "-c", script}})
	}
	// With few descriptors there are few copies. The child is a program that needs no library.
	for _, limit := range []string{"12", "20", "33", "34", "35"} {
		var results []result
		for _, path := range []string{"/usr/bin/fghack", harness.Bin(t, "fghack")} {
			args := []string{"-c", "ulimit -n " + limit + `; exec "$0" "$@"`, path, harness.Bin(t, "setuidgid")}
			results = append(results, run{args: args}.of(t, "/bin/sh"))
		}
		if results[0] != results[1] || results[0].code != 100 {
			t.Errorf("with %s descriptors: ours %v\ndaemontools': %v", limit, results[1], results[0])
		}
	}
}
