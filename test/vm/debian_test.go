package vm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"upkeep/test/harness"
)

// debian returns an image of a small Debian with systemd, of the release that this machine has and from the
// mirror that its apt uses. It runs /scenario of its second disk and knows nothing of upkeep.
func debian(t *testing.T) string {
	t.Helper()
	harness.NeedRoot(t)
	harness.Need(t, "debootstrap", "mkfs.ext4", "unshare", "apt-get", "apt-cache")
	mirror, release := mirror(t)
	return cached(t, "debian_"+release+"_systemd_"+candidate(t, "systemd"), func(dir, file string) {
		root := filepath.Join(dir, "root")
		// What it mounts goes away with its mount namespace.
		mustRun(t, "unshare", "--mount", "debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus", release, root, mirror)
		for _, bulk := range []string{"var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"} {
			os.RemoveAll(filepath.Join(root, bulk))
		}
		tree{
			"etc/systemd/system/scenario.target":  text("[Unit]", "Requires=basic.target", "Wants=scenario.service", "AllowIsolate=yes"),
			"etc/systemd/system/scenario.service": text("[Service]", "Type=oneshot", "ExecStart=/bin/sh -c 'mount /dev/nvme1n1 /mnt && exec /mnt/scenario >/dev/ttyS0 2>&1'"),
		}.writeTo(t, root)
		disk(t, file, root, 512)
	})
}

// mirror returns where this machine's apt gets its release from, and the release.
func mirror(t *testing.T) (uri, release string) {
	t.Helper()
	about, err := os.ReadFile("/etc/os-release")
	if err != nil {
		harness.Skip(t, "%v", err)
	}
	for line := range strings.Lines(string(about)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			release = name
		}
	}
	list, err := exec.Command("apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		harness.Skip(t, "apt-get indextargets: %v", err)
	}
	for line := range strings.Lines(string(list)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == release && f[1] == "main" {
			return f[2], release
		}
	}
	harness.Skip(t, "apt has no mirror of %q", release)
	return "", ""
}

// candidate returns the version of a package that apt would install.
func candidate(t *testing.T, name string) string {
	t.Helper()
	out, _ := harness.Run(t, "apt-cache", "policy", name)
	for line := range strings.Lines(out) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "Candidate: "); ok {
			return version
		}
	}
	harness.Skip(t, "apt knows no package %s", name)
	return ""
}

// unitScenario runs below systemd. At its end the daemon is killed and then replaced, and all goes on.
var unitScenario = script(
	"mkdir -p /service/web /service/logged/log",
	"cp /mnt/bin/* /usr/local/bin; cp /mnt/units/* /etc/systemd/system",
	"cp /mnt/sleeper /service/web/run; cp /mnt/sleeper /service/logged/run; cp /mnt/logger /service/logged/log/run",
	"show() { echo \"$1: $(systemctl show -p $2 --value upkeep)\"; }",
	"wait_for() { until eval \"$1\" >/dev/null 2>&1; do sleep 0.1; done; }",
	"members() { find /sys/fs/cgroup/system.slice -path '*upkeep.service*' -name cgroup.procs -exec cat {} + 2>/dev/null | wc -l; }",
	"systemctl daemon-reload",

	"systemctl start upkeep; echo start: $?",
	"show active ActiveState; show type Type",
	"svstat /service/web | sed 's/ (pid.*//'", // it is ready when they are started
	"wait_for 'systemctl show -p StatusText upkeep | grep \"2 up\"'", "show text StatusText",
	"systemctl status upkeep | sed -n 's/^ *Status: /status: /p'",
	"wait_for 'test $(members) = 4'", "echo members: $(members)",

	"mkdir /service/.new; cp /mnt/sleeper /service/.new/run; mv /service/.new /service/new",
	"systemctl reload upkeep; echo reload: $?", "wait_for 'systemctl show -p ActiveState upkeep | grep =active'", "show active ActiveState",
	"wait_for 'systemctl show -p StatusText upkeep | grep \"3 up\"'", "show text StatusText",

	"systemctl stop upkeep; echo stop: $?", "show active ActiveState; show result Result",
	"echo members: $(members)", "test -e /sys/fs/cgroup/system.slice/upkeep.service || echo no group is left",
	"grep -ls /service/ /proc/[0-9]*/environ", "for p in /proc/[0-9]*; do readlink $p/cwd; done | grep /service",

	"pids() { cat /service/*/supervise/status /service/*/log/supervise/status | od -An -tx1 -w20 -v | cut -c37-48; }",
	"systemctl start upkeep; old=$(systemctl show -p MainPID --value upkeep)",
	"wait_for 'systemctl show -p StatusText upkeep | grep \"3 up\"'", "before=$(pids)",
	"kill -KILL $old; wait_for 'systemctl show -p NRestarts upkeep | grep =1'",
	"wait_for 'systemctl is-active upkeep'", "show restarts NRestarts; show active ActiveState",
	"test $(systemctl show -p MainPID --value upkeep) != $old && echo another daemon",
	"wait_for 'systemctl show -p StatusText upkeep | grep \"3 up\"'",
	"test \"$(pids)\" = \"$before\" && echo the same services",

	"cp /mnt/bin/upkeep /usr/local/bin/new; mv /usr/local/bin/new /usr/local/bin/upkeep",
	"old=$(systemctl show -p MainPID --value upkeep)",
	"upkeep ctl upgrade >/dev/null; echo upgrade: $?", "upkeep ctl status | grep resumed",
	"test $(systemctl show -p MainPID --value upkeep) = $old && echo the same daemon",
	"wait_for 'systemctl show -p StatusText upkeep | grep \"3 up\"'", "show active ActiveState",
	"test \"$(pids)\" = \"$before\" && echo the same services",

	"systemctl stop upkeep; echo stop: $?", "show result Result", "echo members: $(members)",
	"echo over",
)

// TestUnit: our unit does below systemd what a unit is expected to.
func TestUnit(t *testing.T) {
	units := os.DirFS("../../init/systemd")
	if _, err := units.Open("upkeep.service"); err != nil {
		t.Fatal(err)
	}
	base := debian(t)
	dir := t.TempDir()
	tree{
		"bin/upkeep": {from: harness.Bin(t, "upkeep")}, "bin/svstat": {from: harness.Bin(t, "upkeep")},
		"units/upkeep.service": {from: "../../init/systemd/upkeep.service"},
		"scenario":             unitScenario,
		"sleeper":              script("exec sleep 1000000"),
		"logger":               script("exec cat"),
	}.writeTo(t, dir)
	more := filepath.Join(t.TempDir(), "disk")
	disk(t, more, dir, 64)
	m := boot(t, hardware{disk: base, more: more, boot: "root=/dev/nvme0n1 rw systemd.unit=scenario.target systemd.show_status=no"})
	m.says("over")
	m.inOrder("start: 0", "active: active", "type: notify", "/service/web: up", "text: 2 services, 2 up, 0 down", "status: \"2 services, 2 up, 0 down\"",
		"members: 4", "reload: 0", "active: active", "text: 3 services, 3 up, 0 down",
		"stop: 0", "active: inactive", "result: success", "members: 0", "no group is left",
		"restarts: 1", "active: active", "another daemon", "the same services",
		"upgrade: 0", "resumed 1", "the same daemon", "active: active", "the same services",
		"stop: 0", "result: success", "members: 0")
	for _, line := range m.said() {
		if strings.HasPrefix(line, "/proc/") || strings.HasPrefix(line, "/service/") && line != "/service/web: up" {
			t.Errorf("left after the stop: %s", line)
		}
	}
}
