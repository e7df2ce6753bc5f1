// Package services_test runs the service directories of configs/ under upkeep, with the real daemons.
package services_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/test/harness"
)

// configs returns the path of a file below configs/.
func configs(name string) string {
	_, self, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(self), "..", "..", "configs", name)
}

// A root is a service root under test: copies of the directories, each with a config of its own.
type root string

func newRoot(t *testing.T) root {
	t.Helper()
	dir := t.TempDir()
	// As a real root is: the daemons that give up their rights still have to get there.
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root(dir)
}

func (r root) path(elem ...string) string {
	return filepath.Join(append([]string{string(r)}, elem...)...)
}

// add copies one directory of configs/services; config may be empty.
func (r root) add(t *testing.T, name, config string) {
	t.Helper()
	if err := os.CopyFS(r.path(name), os.DirFS(configs("services/"+name))); err != nil {
		t.Fatal(err)
	}
	if config != "" {
		harness.WriteFile(t, r.path(name, "config"), config, 0o644)
	}
}

// run starts upkeep on the root, behind the words of prefix. Its end, and that of every service, is
// part of the test.
func (r root) run(t *testing.T, prefix ...string) {
	t.Helper()
	upkeep := harness.Bin(t, "upkeep")
	// log/run finds multilog beside upkeep, or else the original one.
	bin := filepath.Dir(upkeep)
	if _, err := os.Stat(filepath.Join(bin, "multilog")); err != nil {
		harness.Need(t, "multilog")
	}
	args := append(prefix, upkeep, string(r))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	p := harness.Start(t, syscall.SIGTERM, cmd)
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := filepath.Glob(r.path("*", "log", "main", "current"))
			for _, l := range logs {
				text, _ := os.ReadFile(l)
				t.Logf("%s:\n%s", l, text)
			}
			return
		}
		cmd.Process.Signal(syscall.SIGTERM)
		if code := p.Wait(); code != 0 {
			t.Errorf("the ordered stop ended with %d; output:\n%s", code, p.Output())
		}
		if left := inDirectory(string(r)); len(left) != 0 {
			t.Errorf("the ordered stop left %v", left)
		}
	})
}

// pid returns the pid that supervise/status names, 0 while the service is down.
func (r root) pid(name string) int {
	b, err := os.ReadFile(r.path(name, "supervise", "status"))
	if err != nil || len(b) < 18 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(b[12:16]))
}

// kill kills the service's process and waits until another one has taken its place.
func (r root) kill(t *testing.T, name string) {
	t.Helper()
	old := 0
	harness.Eventually(t, name+" is up", func() bool { old = r.pid(name); return old != 0 })
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %s, pid %d: %v", name, old, err)
	}
	harness.Eventually(t, name+" has another pid", func() bool {
		pid := r.pid(name)
		return pid != 0 && pid != old
	})
}

// logged waits until the service's logger has stored text.
func (r root) logged(t *testing.T, name, text string) {
	t.Helper()
	harness.Eventually(t, fmt.Sprintf("the log of %s says %q", name, text), func() bool {
		b, _ := os.ReadFile(r.path(name, "log", "main", "current"))
		return strings.Contains(string(b), text)
	})
}

// stat returns a process's parent, and its effective user.
func stat(pid int) (ppid, uid int, ok bool) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, false
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		switch w := strings.Fields(s.Text()); w[0] {
		case "PPid:":
			ppid, _ = strconv.Atoi(w[1])
		case "Uid:":
			uid, _ = strconv.Atoi(w[2])
			return ppid, uid, true
		}
	}
	return 0, 0, false
}

func unprivileged(t *testing.T, name string, pid int) {
	t.Helper()
	if _, uid, ok := stat(pid); !ok || uid == 0 {
		t.Errorf("%s, pid %d, runs as root or is gone (%t)", name, pid, ok)
	}
}

// inDirectory returns the processes whose working directory is dir or below it.
func inDirectory(dir string) (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, l := range links {
		if d, err := os.Readlink(l); err == nil && (d == dir || strings.HasPrefix(d, dir+"/")) {
			pid, _ := strconv.Atoi(strings.Split(l, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

// workers returns the children of an nginx master that serve.
func workers(master int) (pids []int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", master, master))
	for _, w := range strings.Fields(string(b)) {
		cmdline, _ := os.ReadFile("/proc/" + w + "/cmdline")
		if strings.HasPrefix(string(cmdline), "nginx: worker process") {
			pid, _ := strconv.Atoi(w)
			pids = append(pids, pid)
		}
	}
	return pids
}

// freePorts returns different ports of 127.0.0.1 that nobody uses, neither with TCP nor UDP.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // held until the end, so that no two are the same
		if u, err := net.ListenPacket("udp4", l.Addr().String()); err == nil {
			u.Close()
			if ports = append(ports, l.Addr().(*net.TCPAddr).Port); len(ports) == n {
				return ports
			}
		}
	}
	t.Fatal("found no free port")
	return nil
}

// The clients. Each asks once.

func askNginx(port int) (worker int, err error) {
	// A connection that was kept alive would go to the worker of before.
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(body)))
}

func askRedis(port int, words ...string) (string, error) {
	out, err := exec.Command("redis-cli", append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(port)}, words...)...).Output()
	return strings.TrimSpace(string(out)), err
}

func askDNS(port int, name string) (string, error) {
	// Go's resolver would look into /etc/hosts first.
	out, err := exec.Command("dig", "+short", "+tries=1", "+time=2", "@127.0.0.1", "-p", strconv.Itoa(port), name).Output()
	return strings.TrimSpace(string(out)), err
}

func askSSH(port int) (string, error) {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	return bufio.NewReader(c).ReadString('\n')
}

func TestNginxRedisDnsmasq(t *testing.T) {
	harness.NeedRoot(t)
	harness.Need(t, "nginx", "redis-server", "redis-cli", "dnsmasq", "dig")
	r := newRoot(t)
	ports := freePorts(t, 3)
	web, db, dns := ports[0], ports[1], ports[2]
	r.add(t, "nginx", fmt.Sprintf(`user www-data;
worker_processes 2;
pid %s;
events {}
http {
	access_log off;
	server {
		listen 127.0.0.1:%d;
		return 200 "$pid\n";
	}
}
`, r.path("nginx", "pid"), web))
	r.add(t, "redis", fmt.Sprintf("bind 127.0.0.1\nport %d\nsave \"\"\n", db))
	r.add(t, "dnsmasq", fmt.Sprintf(
		"port=%d\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\naddress=/host.test/192.0.2.7\n", dns))
	r.run(t)

	// Each check asks until the answer comes from the process that the status file names.
	checks := []struct {
		name, log string
		check     func(t *testing.T)
	}{
		{"nginx", "start worker process", func(t *testing.T) {
			var worker int
			harness.Eventually(t, "a worker of the present nginx answers", func() bool {
				var err error
				if worker, err = askNginx(web); err != nil {
					return false
				}
				ppid, _, ok := stat(worker)
				return ok && ppid == r.pid("nginx")
			})
			unprivileged(t, "a worker of nginx", worker)
		}},
		{"redis", "Ready to accept connections", func(t *testing.T) {
			harness.Eventually(t, "the present redis answers", func() bool {
				info, err := askRedis(db, "info", "server")
				return err == nil && strings.Contains(info, fmt.Sprintf("process_id:%d\r\n", r.pid("redis")))
			})
			if got, err := askRedis(db, "set", "colour", "green"); got != "OK" {
				t.Errorf("redis-cli set: %q, %v", got, err)
			}
			if got, err := askRedis(db, "get", "colour"); got != "green" {
				t.Errorf("redis-cli get: %q, %v", got, err)
			}
			unprivileged(t, "redis", r.pid("redis"))
		}},
		{"dnsmasq", "started, version", func(t *testing.T) {
			harness.Eventually(t, "dnsmasq answers", func() bool {
				addr, err := askDNS(dns, "host.test")
				return err == nil && addr == "192.0.2.7"
			})
			unprivileged(t, "dnsmasq", r.pid("dnsmasq"))
		}},
	}
	for _, c := range checks {
		c.check(t)
		r.logged(t, c.name, c.log)
	}
	for _, c := range checks {
		var left []int
		if c.name == "nginx" {
			harness.Eventually(t, "nginx has two workers", func() bool { left = workers(r.pid("nginx")); return len(left) == 2 })
		}
		r.kill(t, c.name)
		c.check(t)
		for _, w := range left {
			harness.Eventually(t, "the killed nginx' worker is gone", func() bool {
				_, _, ok := stat(w)
				return !ok
			})
		}
	}
	// Nobody else was disturbed, and nobody started over and over.
	before := []int{r.pid("nginx"), r.pid("redis"), r.pid("dnsmasq")}
	for _, c := range checks {
		c.check(t)
	}
	if after := []int{r.pid("nginx"), r.pid("redis"), r.pid("dnsmasq")}; !slices.Equal(before, after) {
		t.Errorf("pids went from %v to %v", before, after)
	}
}

func TestSshd(t *testing.T) {
	harness.NeedRoot(t)
	harness.Need(t, "sshd", "ssh-keygen")
	r := newRoot(t)
	port, key := freePorts(t, 1)[0], filepath.Join(t.TempDir(), "key")
	if out, code := harness.Run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key); code != 0 {
		t.Fatalf("ssh-keygen: %s", out)
	}
	r.add(t, "sshd", fmt.Sprintf("ListenAddress 127.0.0.1\nPort %d\nHostKey %s\nPidFile none\nUsePAM yes\n", port, key))
	r.run(t)
	check := func() {
		t.Helper()
		harness.Eventually(t, "sshd greets", func() bool {
			banner, err := askSSH(port)
			return err == nil && strings.HasPrefix(banner, "SSH-2.0-OpenSSH")
		})
	}
	check()
	r.logged(t, "sshd", "Server listening on 127.0.0.1")
	r.kill(t, "sshd")
	check()
}

// cron is one per machine, and its jobs are the machine's. So it runs where it sees neither: in a mount
// namespace with its own crontabs and its own /run.
func TestCron(t *testing.T) {
	harness.NeedRoot(t)
	harness.Need(t, "cron", "unshare")
	if out, code := harness.Run(t, "unshare", "-m", "mount", "-t", "tmpfs", "none", "/run"); code != 0 {
		harness.Skip(t, "no mount namespace: %s", out)
	}
	r := newRoot(t)
	r.add(t, "cron", "")
	scratch := t.TempDir()
	mark := filepath.Join(scratch, "mark")
	harness.WriteFile(t, filepath.Join(scratch, "empty"), "", 0o644)
	harness.WriteFile(t, filepath.Join(scratch, "cron.d", "test"), "@reboot root echo $$ >>"+mark+"; exec sleep 1000\n", 0o644)
	var job int
	t.Cleanup(func() { // after the stop
		if _, _, ok := stat(job); ok && job != 0 {
			t.Errorf("the ordered stop left cron's job, pid %d", job)
			syscall.Kill(job, syscall.SIGKILL)
		}
	})
	r.run(t, "unshare", "-m", "--propagation", "private", "sh", "-ec", `
		mount -t tmpfs none /run
		mount -t tmpfs none /var/spool/cron
		mkdir /var/spool/cron/crontabs
		mount --bind "$0/empty" /etc/crontab
		mount --bind "$0/cron.d" /etc/cron.d
		exec "$@"`, scratch)

	harness.Eventually(t, "cron has run a job", func() bool {
		b, _ := os.ReadFile(mark)
		job, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		return job != 0
	})
	r.kill(t, "cron")
	// Only a cron that got the lock writes its pid there.
	harness.Eventually(t, "the present cron has its lock", func() bool {
		pid := strconv.Itoa(r.pid("cron"))
		b, _ := os.ReadFile("/proc/" + pid + "/root/run/crond.pid")
		return strings.TrimSpace(string(b)) == pid
	})
	if _, _, ok := stat(job); !ok {
		t.Error("the job ended with its cron")
	}
	if b, _ := os.ReadFile(r.path("cron", "log", "main", "current")); len(b) != 0 {
		t.Errorf("cron complains: %s", b)
	}
}

// The directories without a config of their own serve what Debian's packages install, on the well-known
// ports. So the test, this very program, runs once more where these ports and files are nobody else's.
func TestAsInstalled(t *testing.T) {
	const inside = "UPKEEP_TEST_INSIDE"
	harness.NeedRoot(t)
	harness.Need(t, "nginx", "redis-server", "redis-cli", "dnsmasq", "dig", "sshd", "unshare")
	if os.Getenv(inside) == "" {
		if out, code := harness.Run(t, "unshare", "-m", "-n", "mount", "-t", "tmpfs", "none", "/run"); code != 0 {
			harness.Skip(t, "no mount and network namespaces: %s", out)
		}
		cmd := exec.Command("unshare", "-m", "-n", "--propagation", "private", "sh", "-ec", `
			mount -t tmpfs none /run
			mount -t tmpfs none /var/log/nginx
			mount -t tmpfs -o "uid=$(id -u redis)" none /var/lib/redis
			exec "$@"`, "sh", os.Args[0], "-test.v", "-test.run=^TestAsInstalled$")
		cmd.Env = append(os.Environ(), inside+"=1", "UPKEEP_BIN="+filepath.Dir(harness.Bin(t, "upkeep")))
		if out, code := harness.RunCmd(t, cmd); code != 0 {
			t.Errorf("in its namespaces:\n%s", out)
		}
		return
	}

	linkUp(t, "lo")
	r := newRoot(t)
	for _, name := range []string{"nginx", "redis", "dnsmasq", "sshd"} {
		r.add(t, name, "")
	}
	r.run(t)
	harness.Eventually(t, "nginx answers", func() bool {
		resp, err := http.Get("http://127.0.0.1/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && strings.HasPrefix(resp.Header.Get("Server"), "nginx")
	})
	harness.Eventually(t, "redis answers", func() bool {
		got, err := askRedis(6379, "ping")
		return err == nil && got == "PONG"
	})
	harness.Eventually(t, "dnsmasq answers", func() bool {
		addrs, err := askDNS(53, "localhost")
		return err == nil && addrs == "127.0.0.1"
	})
	harness.Eventually(t, "sshd greets", func() bool {
		banner, err := askSSH(22)
		return err == nil && strings.HasPrefix(banner, "SSH-2.0-OpenSSH")
	})
	r.logged(t, "redis", "Ready to accept connections")
	r.logged(t, "sshd", "Server listening on")
}

func linkUp(t *testing.T, name string) {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	link, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	link.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, link); err != nil {
		t.Fatalf("%s up: %v", name, err)
	}
}
