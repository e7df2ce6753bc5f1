package chain_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"upkeep/test/harness"
)

func TestSoftlimit(t *testing.T) {
	t.Parallel()
	r := need(t, "softlimit")
	const letters = "acdflmoprst"
	values := []string{"=", "0", "1", "100", "4096", "8192", "65536", "300000", "1000000", "8000000", "40000000", "400000000",
		"18446744073709551615", "18446744073709551616", "18446744073709601616", "", "12k", "x", "99999999999"}
	for i := range 400 {
		var args []string
		for range 1 + r.IntN(3) {
			letter := letters[r.IntN(len(letters))]
			value := pick(r, values...)
			if r.IntN(3) > 0 { // large enough to run something
				value = fmt.Sprint(50_000_000 + r.IntN(1<<30))
			}
			if letter == 'f' || letter == 't' {
				value = pick(r, "=", "1000000", "123456789")
			}
			if letter == 'o' {
				value = pick(r, value, fmt.Sprint(10+r.IntN(3000)))
			}
			if r.IntN(2) == 0 || value == "" {
				args = append(args, "-"+string(letter), value)
			} else {
				args = append(args, "-"+string(letter)+value)
			}
		}
		child := pick(r, []string{"cat", "/proc/self/limits"}, []string{"cat", "/proc/self/limits"}, []string{"sh", "-c", "ulimit -a; exit 3"}, []string{"missing"}, []string{"/etc/passwd"}, nil)
		if i%5 == 0 {
			// Under a lower limit than the machine's.
			script := `ulimit -Sn ` + fmt.Sprint(20+r.IntN(3000)) + `; ulimit -Hn 4000; ulimit -Sc 0; ulimit -Hc 100; ulimit -Hs 9000; exec "$0" "$@"`
			var results []result
			for _, path := range []string{"/usr/bin/softlimit", harness.Bin(t, "softlimit")} {
				all := append([]string{"-c", script, path}, append(args, child...)...)
				results = append(results, run{args: all}.of(t, "/bin/sh"))
			}
			if results[0] != results[1] {
				t.Errorf("softlimit %q %q:\nours: %v\ndaemontools': %v", args, child, results[1], results[0])
			}
			continue
		}
		compare(t, "softlimit", run{args: append(args, child...)})
	}
	for _, args := range []string{"", "-z", "-a", "-c 0", "-a 1 -z", "-- true", "- true"} {
		compare(t, "softlimit", run{args: strings.Fields(args)})
	}
}

// Another user than root may lower a hard limit, and not raise it again. setpriv changes only the ids, so both
// softlimits start alike.
func TestSoftlimitOfAUser(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	need(t, "softlimit")
	setpriv := []string{"--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-c"}
	if _, err := exec.LookPath("setpriv"); err != nil {
		harness.Skip(t, "%v", err)
	}
	ours := filepath.Join(forAnyone(t), "softlimit")
	for _, limits := range []string{":", "ulimit -n 300; ulimit -c 100", "ulimit -Sn 100; ulimit -Sc 0; ulimit -Ss 1000"} {
		for _, args := range []string{
			"-o 200", "-o 5000000", "-o=", "-c 0", "-c 51200", "-c 1000000", "-c=", "-s 2000000", "-s=", "-d 400000000 -o 250",
			"-m 800000000", "-l 4096", "-l 99999999999", "-p 4000", "-r 18446744073709551615", "-f 1000 -t 100", "-a 18446744073709551616", "-o x",
		} {
			var results []result
			for _, path := range []string{"/usr/bin/softlimit", ours} {
				script := limits + `; exec "$0" "$@" /bin/sh -c 'id -u; ulimit -Sa; ulimit -Ha'`
				all := append(append(slices.Clone(setpriv), script, path), strings.Fields(args)...)
				results = append(results, run{args: all, dir: "/"}.of(t, "setpriv"))
			}
			if results[0] != results[1] {
				t.Errorf("%s; softlimit %s:\nours: %v\ndaemontools': %v", limits, args, results[1], results[0])
			}
		}
	}
	// So few processes leave no room for the threads of the second one, which is ours, too.
	for _, limit := range []string{"1", "3", "6"} {
		args := append(slices.Clone(setpriv), `exec "$0" "$@"`, ours, "-p", limit, ours, "-c", "0", "/bin/sh", "-c", "ulimit -Sc; ulimit -Sp")
		got := run{args: args, dir: "/"}.of(t, "setpriv")
		if want := (result{stdout: "0\n" + limit + "\n"}); got != want {
			t.Errorf("softlimit -p %s: %v", limit, got)
		}
	}
}

// forAnyone is a directory with a copy of our softlimit that every user may run.
func forAnyone(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "upkeep-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile(harness.Bin(t, "softlimit"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/softlimit", string(program), 0o755)
	for _, path := range []string{dir, dir + "/softlimit"} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A limit on memory that no Go program can start with is no limit to how softlimit is used in a chain.
func TestChainsUnderLimits(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	r := need(t, "softlimit")
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	write(t, dir+"/env/A", "1\n", 0o644)
	ours := filepath.Dir(harness.Bin(t, "softlimit"))
	memory := []string{"-m 8000000", "-a 9000000", "-d 7000000", "-d 700000", "-a 20000000 -d 8000000 -s 3000000", "-m 9000000 -o 50 -c 1000 -t 100"}
	links := append([]string{
		"envuidgid daemon", "envdir env", "setlock -nx lock", "setlock -nX lock", "fghack", "pgrphack", "setuidgid root",
		"softlimit -o 60", "softlimit -s 4000000", "softlimit -d =", "softlimit -a= -d= -s=", "softlimit -t 99",
	}, memory...)
	for range 200 {
		chain := []string{"softlimit " + pick(r, memory...)}
		for range 1 + r.IntN(4) {
			link := pick(r, links...)
			if link[0] == '-' {
				link = "softlimit " + link
			}
			chain = append(chain, link)
		}
		child := pick(r, []string{"sh", "-c", "ulimit -Sa; ulimit -Ha; id; ls /proc/$$/fd; env"}, []string{"sh", "-c", "exit 7"}, []string{"cat", "/proc/self/limits"})
		args := append(strings.Fields(strings.Join(chain, " ")), child...)
		theirs := run{dir: dir, args: args[1:]}.of(t, "/usr/bin/softlimit")
		got := run{dir: dir, args: args[1:], env: []string{"PATH=" + ours + ":/usr/bin:/bin"}}.of(t, ours+"/softlimit")
		got.stdout = strings.Replace(got.stdout, ours+":", "", 1)
		if got != theirs {
			t.Errorf("%q:\nours: %v\ndaemontools': %v", args, got, theirs)
		}
	}
	golden(t, "softlimit", run{args: []string{"-m", "1000000", harness.Bin(t, "tai64nfrac")}, stdin: "x\n"}, result{stdout: "x\n"})
	golden(t, "softlimit", run{args: []string{"-d", "1000", "-d", "-", harness.Bin(t, "setuidgid"), "root", "sh", "-c", "ulimit -Sd"}}, result{stdout: "unlimited\n"})
	golden(t, "softlimit", run{args: []string{"-m", "1000000", harness.Bin(t, "setuidgid"), "root"}},
		result{stderr: "setuidgid: usage: setuidgid [-s] account child\n", code: 100})
}

// Every chain loader hands on the limit of open files that it was given, not the one that Go has raised.
func TestOpenFilesLimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/ini", "", 0o644)
	for _, args := range [][]string{
		{"setuidgid", "root"}, {"envuidgid", "root"}, {"envdir", ""}, {"envini", dir + "/ini"}, {"setuser", "root"},
		{"softlimit", "-c", "0"}, {"softlimit", "-a", "="}, {"setlock", dir + "/lock"}, {"pgrphack"}, {"fghack"},
	} {
		if args[0] == "envdir" {
			args[1] = t.TempDir() // without files
		}
		script := `ulimit -Sn 123; exec "$0" "$@" sh -c 'ulimit -Sn'`
		all := append([]string{"-c", script, harness.Bin(t, args[0])}, args[1:]...)
		if got := (run{args: all}).of(t, "/bin/sh"); got != (result{stdout: "123\n"}) {
			t.Errorf("%q: %v", args, got)
		}
	}
}

func TestLimitsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	show := []string{"/bin/sh", "-c", "ulimit -Sv; ulimit -Sd; ulimit -Ss; ulimit -Sl; ulimit -Sn; ulimit -Sc"}
	golden(t, "softlimit", run{env: []string{"SOFTLIMIT_MEMBYTES=102400000", "SOFTLIMIT_ALLBYTES=1", "SOFTLIMIT_OPENFILES=77", "SOFTLIMIT_LOCKEDBYTES=1024"}, args: append([]string{"-s", "1024000", "-c0"}, show...)},
		result{stdout: "100000\n100000\n1000\n" + locked(t) + "77\n0\n"})
	golden(t, "softlimit", run{env: []string{"SOFTLIMIT_CPUSECS=x"}, args: []string{"/bin/true"}}, result{code: 100, stderr: "softlimit: usage: softlimit [-a allbytes] [-c corebytes] [-d databytes] [-f filebytes] [-l lockbytes] [-m membytes] [-o openfiles] [-p processes] [-r residentbytes] [-s stackbytes] [-t cpusecs] child\n"})
	harness.NeedRoot(t)
	golden(t, "softlimit", run{args: []string{"-o-", "/bin/true"}}, result{code: 111, stderr: "softlimit: fatal: setrlimit failed: permission denied\n"})
	golden(t, "softlimit", run{args: []string{"-c-", "/bin/sh", "-c", "ulimit -Hc"}}, result{stdout: "unlimited\n"})
}

// locked is what becomes of 102400000 bytes of locked memory on this machine.
func locked(t *testing.T) string {
	return run{args: []string{"-l", "102400000", "/bin/sh", "-c", "ulimit -Sl"}}.of(t, harness.Bin(t, "softlimit")).stdout
}
