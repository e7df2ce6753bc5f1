package manager_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"upkeep/test/harness"
)

// installed runs make install into an empty directory, with a prefix that is not the usual one, and returns
// what is below the prefix.
func installed(t *testing.T) (at, prefix string) {
	t.Helper()
	harness.Bin(t, "upkeep") // two makes at once would build in each other's way
	dest, prefix := t.TempDir(), "/opt/upkeep"
	out, code := harness.Run(t, "make", "--silent", "-C", top, "install", "DESTDIR="+dest, "PREFIX="+prefix)
	if code != 0 {
		t.Fatalf("make install: exit code %d\n%s", code, out)
	}
	return dest + prefix, prefix
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// files are those of init/ and where make install puts them.
var files = map[string]string{
	"systemd/upkeep.service":  "lib/systemd/system/upkeep.service",
	"systemd/upkeep@.service": "lib/systemd/system/upkeep@.service",
	"openrc/upkeep":           "share/upkeep/openrc",
	"sysv/inittab":            "share/upkeep/inittab",
}

func TestInstall(t *testing.T) {
	t.Parallel()
	at, prefix := installed(t)
	for from, to := range files {
		want := strings.ReplaceAll(read(t, top+"/init/"+from), "/usr/local/bin/", prefix+"/bin/")
		if got := read(t, filepath.Join(at, to)); got != want || !strings.Contains(got, prefix+"/bin/upkeep") {
			t.Errorf("%s is\n%s", to, got)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(want, "#!") {
			mode = 0o755
		}
		if st, err := os.Stat(filepath.Join(at, to)); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want the mode %v", to, st.Mode(), err, mode)
		}
	}
}

// unit returns the settings of a unit file.
func unit(t *testing.T, name string) map[string]string {
	t.Helper()
	settings := make(map[string]string)
	for line := range strings.Lines(read(t, top+"/init/systemd/"+name)) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		if line == "" || line[0] == '#' || line[0] == '[' {
			continue
		}
		if _, twice := settings[key]; !ok || twice {
			t.Errorf("%s: %q", name, line)
		}
		settings[key] = value
	}
	return settings
}

// duration reads a time that both systemd and we understand.
func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Error(err)
	}
	return d
}

// options returns the options of a command line of upkeep, which upkeep must understand.
func options(t *testing.T, file string, words []string) (list []string) {
	t.Helper()
	if len(words) == 0 || words[0] != "/usr/local/bin/upkeep" {
		t.Fatalf("%s starts %q", file, words)
	}
	for _, w := range words[1:] {
		if strings.HasPrefix(w, "-") {
			list = append(list, w)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing")
	out, code := harness.Run(t, harness.Bin(t, "upkeep"), append(list, missing)...)
	if code != 111 || !strings.Contains(out, "cannot open the root "+missing) {
		t.Errorf("%s: upkeep with %q says %q and exits with %d", file, list, out, code)
	}
	return list
}

// stopTimeout is the --stop-timeout of a list of options.
func stopTimeout(t *testing.T, list []string) time.Duration {
	t.Helper()
	for _, o := range list {
		if value, ok := strings.CutPrefix(o, "--stop-timeout="); ok {
			return duration(t, value)
		}
	}
	t.Fatalf("no --stop-timeout in %q", list)
	return 0
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"upkeep.service", "upkeep@.service"} {
		u := unit(t, name)
		list := options(t, name, strings.Fields(u["ExecStart"]))
		// KILL is upkeep's own, with two seconds for what even that cannot end.
		if grace := duration(t, u["TimeoutStopSec"]) - stopTimeout(t, list); grace < 5*time.Second {
			t.Errorf("%s: systemd waits only %v longer than upkeep", name, grace)
		}
		for key, want := range map[string]string{
			"Type": "notify", "NotifyAccess": "main", "Delegate": "yes", "KillMode": "process",
			"OOMPolicy": "continue", "Restart": "always", "WantedBy": "multi-user.target",
		} {
			if u[key] != want {
				t.Errorf("%s: %s=%s, want %s", name, key, u[key], want)
			}
		}
		if duration(t, u["WatchdogSec"]) < 10*time.Second {
			t.Errorf("%s: a busy machine must not look like a hung daemon", name)
		}
	}
	one, many := unit(t, "upkeep.service"), unit(t, "upkeep@.service")
	for key, value := range one {
		if want := strings.ReplaceAll(value, "/service", "/%I"); many[key] != want {
			t.Errorf("upkeep@.service: %s=%s, want %s", key, many[key], want)
		}
	}
	if len(one) != len(many) {
		t.Errorf("upkeep.service has %d settings, upkeep@.service %d", len(one), len(many))
	}
}

// TestReloadCommand: what the unit runs for a reload sends HUP to the main process.
func TestReloadCommand(t *testing.T) {
	t.Parallel()
	words := unit(t, "upkeep.service")["ExecReload"]
	script, ok := strings.CutPrefix(words, "/bin/sh -c '")
	if !ok {
		t.Fatalf("it is %s", words)
	}
	script = strings.ReplaceAll(strings.TrimSuffix(script, "'"), "$$", "$") // as systemd reads it
	m := newManager(t)
	u := m.start(nil, "upkeep", t.TempDir())
	m.line("READY=1")
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env = []string{"MAINPID=" + strconv.Itoa(u.Pid())}
	if out, code := harness.RunCmd(t, cmd); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	m.line("RELOADING=1")
	m.line("READY=1")
}

// TestSystemdLikesTheUnits: but for what is newer than the systemd at hand.
func TestSystemdLikesTheUnits(t *testing.T) {
	t.Parallel()
	analyze := harness.Need(t, "systemd-analyze")[0]
	dir := t.TempDir()
	for _, name := range []string{"upkeep.service", "upkeep@.service"} {
		// It wants to see the program and, in its manual path, the page.
		text := strings.ReplaceAll(read(t, top+"/init/systemd/"+name), "/usr/local/bin/upkeep", harness.Bin(t, "upkeep"))
		text = strings.ReplaceAll(text, "Documentation=", "#")
		harness.WriteFile(t, filepath.Join(dir, strings.Replace(name, "@", "@srv-web", 1)), text, 0o644)
	}
	for _, name := range []string{"upkeep.service", "upkeep@srv-web.service"} {
		out, _ := exec.Command(analyze, "verify", filepath.Join(dir, name)).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "'DelegateSubgroup'") && strings.Contains(line, "upkeep") {
				t.Error(line)
			}
		}
	}
}

func TestOpenRCScript(t *testing.T) {
	t.Parallel()
	file := top + "/init/openrc/upkeep"
	if !strings.HasPrefix(read(t, file), "#!/sbin/openrc-run\n") {
		t.Error("it is no script of OpenRC")
	}
	// openrc-run reads the script with a shell; what the variables are is seen there.
	bin := t.TempDir()
	harness.WriteFile(t, filepath.Join(bin, "supervise-daemon"), sh(`echo "$@"`), 0o755)
	script := `RC_SVCNAME=upkeep; . "$1"; echo $command $command_args; echo "$retry"; echo $supervisor $respawn_max
		ebegin() { :; }; eend() { return $1; }; reload`
	cmd := exec.Command("/bin/sh", "-ec", script, "sh", file)
	cmd.Env = []string{"PATH=" + bin + ":/bin:/usr/bin"}
	out, code := harness.RunCmd(t, cmd)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != 4 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	words := strings.Fields(lines[0])
	if limit := stopTimeout(t, options(t, file, words)); limit != time.Minute || words[len(words)-1] != "/service" {
		t.Errorf("it starts %s", lines[0])
	}
	for i, want := range map[int]string{
		1: "SIGTERM/70/SIGKILL/5", 2: "supervise-daemon 0", 3: "upkeep --signal HUP --pidfile /run/upkeep.pid",
	} {
		if lines[i] != want {
			t.Errorf("got %q, want %q", lines[i], want)
		}
	}
}

func TestInittab(t *testing.T) {
	t.Parallel()
	lines := 0
	for line := range strings.Lines(read(t, top+"/init/sysv/inittab")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		lines++
		field := strings.SplitN(line, ":", 4)
		if len(field) != 4 || len(field[0]) > 4 || field[2] != "respawn" || len(field[3]) > 127 {
			t.Fatalf("not a line of inittab: %s", line)
		}
		words := strings.Fields(field[3])
		if limit := stopTimeout(t, options(t, "inittab", words)); limit >= 5*time.Second || words[len(words)-1] != "/service" {
			t.Errorf("it starts %s", field[3])
		}
	}
	if lines != 1 {
		t.Errorf("%d lines", lines)
	}
}
