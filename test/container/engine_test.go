package container_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/test/harness"
)

// An engine is podman with all that it keeps below one directory. vfs and cgroupfs work everywhere; locks
// in files, and a runtime that is told where to keep its state, leave nothing in /dev/shm and /run.
type engine struct{ dir string }

// prepared is the engine with its images, made once.
var prepared = sync.OnceValues(func() (*engine, error) {
	e := &engine{os.Getenv(stageDir)}
	return e, e.prepare()
})

// The images. commandImage and servicesImage are made as the project's own files say.
const (
	upkeepImage   = "localhost/upkeep"
	shellImage    = "localhost/shell"    // busybox, by every name that the tests use
	commandImage  = "localhost/command"  // the guest is the command, and nothing else is there
	servicesImage = "localhost/services" // services with a shell
	staticImage   = "localhost/static"   // a service without a shell
)

// needEngine skips the test where there can't be containers.
func needEngine(t *testing.T) *engine {
	t.Helper()
	needRealRoot(t)
	harness.Need(t, "podman", "runc", "busybox")
	harness.Bin(t, "upkeep") // a failing build is no reason to skip
	e, err := prepared()
	if err != nil {
		harness.Skip(t, "podman does not work here: %v", err)
	}
	return e
}

// needRealRoot skips the test unless it runs as root of the machine's own user namespace.
func needRealRoot(t *testing.T) {
	t.Helper()
	harness.NeedRoot(t)
	m, _ := os.ReadFile("/proc/self/uid_map")
	if f := strings.Fields(string(m)); len(f) != 3 || f[2] != "4294967295" {
		harness.Skip(t, "needs root, and not only of a user namespace")
	}
}

func (e *engine) path(names ...string) string {
	return filepath.Join(append([]string{e.dir}, names...)...)
}

func (e *engine) exists() bool {
	_, err := os.Stat(e.path("storage"))
	return err == nil
}

// command is a podman command.
func (e *engine) command(args ...string) *exec.Cmd {
	cmd := exec.Command("podman", append([]string{"--runtime", e.path("runtime", "runc"), "--storage-driver=vfs",
		"--root", e.path("storage"), "--runroot", e.path("run"), "--tmpdir", e.path("tmp")}, args...)...)
	cmd.Env = append(os.Environ(), "CONTAINERS_CONF="+e.path("containers.conf"), "TMPDIR="+e.dir)
	return cmd
}

// do runs a podman command that is to succeed.
func (e *engine) do(t *testing.T, args ...string) string {
	t.Helper()
	out, code := harness.RunCmd(t, e.command(args...))
	if code != 0 {
		t.Fatalf("podman %v: exit code %d\n%s", args, code, out)
	}
	return out
}

// prepare writes the engine's configuration, builds the images and tries one.
func (e *engine) prepare() error {
	runc, err := exec.LookPath("runc")
	if err != nil {
		return err
	}
	if err := writeAll(e.dir, map[string]string{
		"containers.conf": "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n" + // not every root may have the engine's
			"[engine]\nlock_type = \"file\"\nevents_logger = \"none\"\ncgroup_manager = \"cgroupfs\"\n",
		"runtime/runc": "#!/bin/sh\nexec " + runc + " --root " + e.path("runc") + ` "$@"` + "\n",
	}); err != nil {
		return err
	}
	contexts, err := contexts()
	if err != nil {
		return err
	}
	project := filepath.Join(source(), "init", "container")
	for _, image := range []struct {
		tag, file, context string
		args               []string
	}{
		{upkeepImage, filepath.Join(project, "Dockerfile"), "upkeep", nil},
		{shellImage, filepath.Join(contexts, "Containerfile.shell"), "shell", nil},
		{commandImage, filepath.Join(project, "Containerfile.command"), "command", nil},
		{servicesImage, filepath.Join(project, "Containerfile.services"), "services", []string{"--build-arg=BASE=" + shellImage}},
		{staticImage, filepath.Join(project, "Containerfile.services"), "static", []string{"--build-arg=BASE=scratch"}},
	} {
		args := append([]string{"build", "--quiet", "--pull=never", "--tag", image.tag, "--file", image.file}, image.args...)
		if out, err := e.command(append(args, filepath.Join(contexts, image.context))...).CombinedOutput(); err != nil {
			return fmt.Errorf("podman build %s: %w: %s", image.tag, err, out)
		}
	}
	probe := append(e.runArgs("probe", nil), commandImage, "/server", "exit", "0")
	if out, err := e.command(probe...).CombinedOutput(); err != nil {
		return fmt.Errorf("podman run: %w: %s", err, out)
	}
	return nil
}

// source is the top of the source tree; tests run in their package's directory.
func source() string {
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		panic(err)
	}
	return dir
}

// runArgs are the arguments of podman run before the image. A container that the tests should lose ends
// by itself.
func (e *engine) runArgs(name string, options []string) []string {
	args := []string{"run", "--name", name, "--network=none", "--cgroup-parent=" + cgroupParent(e.dir), "--timeout=300"}
	return append(args, options...)
}

// A container is a running podman run, with the output and the exit code of the container.
type container struct {
	*harness.Process
	e    *engine
	t    *testing.T
	name string
}

// run runs a container that ends with the test.
func (e *engine) run(t *testing.T, options []string, image string, args ...string) *container {
	t.Helper()
	c := &container{e: e, t: t, name: "c" + strconv.FormatInt(time.Now().UnixNano(), 36)}
	t.Cleanup(func() { e.do(t, "rm", "--force", "--time=0", "--ignore", c.name) })
	c.Process = harness.Start(t, unix.SIGTERM, e.command(append(append(e.runArgs(c.name, options), image), args...)...))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("output of %s:\n%s", c.name, c.Output())
		}
	})
	return c
}

// services are the options of a container in which /service is a read-only volume with these files.
func (e *engine) services(t *testing.T, files map[string]string) []string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "services")
	if err := writeAll(dir, files); err != nil {
		t.Fatal(err)
	}
	return []string{"--volume=" + dir + ":/service:ro"}
}

// needInit skips the test if the options ask for the engine's init and there is none.
func needInit(t *testing.T, options []string) {
	t.Helper()
	if slices.Contains(options, "--init") {
		harness.Need(t, "catatonit")
	}
}

// stop is docker stop, and expects an exit code. It is the engine that keeps the time: when that is over it
// kills everything, and the exit code is 137.
func (c *container) stop(limit time.Duration, code int) {
	c.t.Helper()
	c.e.do(c.t, "stop", fmt.Sprintf("--time=%d", limit/time.Second), c.name)
	c.ends(code)
}

func (c *container) ends(code int) {
	c.t.Helper()
	ends(c.t, c.Process, code)
}

// kill sends a signal to PID 1 of the container.
func (c *container) kill(signal string) {
	c.t.Helper()
	c.e.do(c.t, "kill", "--signal="+signal, c.name)
}

// upkeep runs one of upkeep's commands in the container.
func (c *container) upkeep(args ...string) string {
	c.t.Helper()
	return c.e.do(c.t, append([]string{"exec", c.name, "upkeep"}, args...)...)
}

// pid is that of the container's first process, as the host sees it.
func (c *container) pid() int {
	c.t.Helper()
	out := c.e.do(c.t, "inspect", "--format={{.State.Pid}}", c.name)
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil || pid == 0 {
		c.t.Fatalf("no pid: %q", out)
	}
	return pid
}
