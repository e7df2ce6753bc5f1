package container_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/test/harness"
)

// A bundle is a container as runc takes it, of which every mount can be chosen. Its root is read-only and
// holds the services of servicesImage.
type bundle struct {
	t          *testing.T
	dir, id    string
	user       int
	mounts     []map[string]any
	namespaces []map[string]any
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	needRealRoot(t)
	harness.Need(t, "runc", "busybox")
	harness.Bin(t, "upkeep")
	contexts, err := contexts()
	if err != nil {
		harness.Skip(t, "no image: %v", err)
	}
	b := &bundle{t: t, dir: t.TempDir(), id: fmt.Sprintf("b%d", time.Now().UnixNano())}
	root := b.path("rootfs")
	for _, dir := range []string{"proc", "dev", "sys", "run", "bin", "service"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "run"), 0o777|os.ModeSticky); err != nil { // runc gives this mode to the mount
		t.Fatal(err)
	}
	for to, from := range map[string]string{
		"bin": "shell/bin", "service": "services/services",
	} {
		if err := os.CopyFS(filepath.Join(root, to), os.DirFS(filepath.Join(contexts, from))); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyFile(filepath.Join(root, "upkeep"), filepath.Join(contexts, "upkeep", "upkeep")); err != nil {
		t.Fatal(err)
	}
	b.mount("/proc", "proc", "nosuid", "noexec", "nodev")
	b.mount("/dev", "tmpfs", "nosuid", "mode=755")
	b.mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro")
	b.mount("/run", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777")
	for _, kind := range []string{"pid", "network", "ipc", "uts", "mount"} {
		b.namespace(kind)
	}
	return b
}

func (b *bundle) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bundle) mount(where, kind string, options ...string) {
	b.mounts = append(b.mounts, map[string]any{"destination": where, "type": kind, "source": kind, "options": options})
}

func (b *bundle) namespace(kind string) {
	b.namespaces = append(b.namespaces, map[string]any{"type": kind})
}

func (b *bundle) service(name, run string) {
	b.t.Helper()
	harness.WriteFile(b.t, filepath.Join(b.path("rootfs"), "service", name, "run"), run, 0o755)
}

// group is the container's cgroup.
func (b *bundle) group() string { return filepath.Join(cgroupParent(os.Getenv(stageDir)), b.id) }

// groups are the directories of the container's cgroup that there are.
func (b *bundle) groups() []string {
	var list []string
	for _, pattern := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		found, _ := filepath.Glob(pattern + b.group())
		list = append(list, found...)
	}
	return list
}

func (b *bundle) runc(args ...string) *exec.Cmd {
	return exec.Command("runc", append([]string{"--root", filepath.Join(os.Getenv(stageDir), "bundles")}, args...)...)
}

// run runs the container until the test ends.
func (b *bundle) run(args ...string) *runcRun {
	b.t.Helper()
	capabilities := []string{"CAP_KILL", "CAP_SYS_ADMIN"}
	config, err := json.Marshal(map[string]any{
		"ociVersion": "1.0.2",
		"root":       map[string]any{"path": "rootfs", "readonly": true},
		"mounts":     b.mounts,
		"process": map[string]any{
			"args": args, "cwd": "/", "env": []string{"PATH=/bin"},
			"user":         map[string]any{"uid": b.user, "gid": b.user},
			"capabilities": map[string]any{"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
		},
		"linux": map[string]any{"namespaces": b.namespaces, "cgroupsPath": b.group()},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	harness.WriteFile(b.t, b.path("config.json"), string(config), 0o644)
	b.t.Cleanup(func() { harness.RunCmd(b.t, b.runc("delete", "--force", b.id)) })
	r := &runcRun{b: b, Process: harness.Start(b.t, unix.SIGTERM, b.runc("run", "--bundle", b.dir, b.id))}
	b.t.Cleanup(func() {
		if b.t.Failed() {
			b.t.Logf("output of %s:\n%s", b.id, r.Output())
		}
	})
	return r
}

// pid is that of the container's first process.
func (b *bundle) pid() int {
	b.t.Helper()
	out, err := b.runc("state", b.id).Output()
	var state struct{ Pid int }
	if err == nil {
		err = json.Unmarshal(out, &state)
	}
	if err != nil || state.Pid == 0 {
		b.t.Fatalf("runc state: %v: %s", err, out)
	}
	return state.Pid
}

func (b *bundle) noZombies() {
	b.t.Helper()
	pid := b.pid()
	eventually(b.t, "there is no zombie", func() bool { return zombies(pid) == 0 })
}

// A runcRun is a running bundle, with its output and exit code.
type runcRun struct {
	*harness.Process
	b *bundle
}

// stop sends a signal to the first process and expects an exit code within a time.
func (r *runcRun) stop(signal string, limit time.Duration, code int) {
	t := r.b.t
	t.Helper()
	if out, code := harness.RunCmd(t, r.b.runc("kill", r.b.id, signal)); code != 0 {
		t.Fatalf("runc kill: exit code %d: %s", code, strings.TrimSpace(out))
	}
	begin := time.Now()
	ends(t, r.Process, code)
	if took := time.Since(begin); took > limit {
		t.Errorf("it took %v to stop", took)
	}
}
