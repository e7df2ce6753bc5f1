package container_test

import (
	"strings"
	"testing"
)

// A sight is what there is to be seen of cgroups. Wherever upkeep finds itself it starts services and
// stops them in order, and says in one line at most what it can't have.
type sight struct {
	name   string
	args   []string // further arguments of the daemon
	says   string   // words of the one line that upkeep is to say; empty: it may say one
	silent bool     // it has nothing to say
}

// judge expects of the daemon what holds in every sight.
func (s sight) judge(t *testing.T, w speaker) {
	t.Helper()
	lines := allComplaints(w)
	switch {
	case len(lines) > 1,
		s.silent && len(lines) > 0,
		s.says != "" && (len(lines) == 0 || !strings.Contains(lines[0], s.says)):
		t.Errorf("upkeep says\n%s\nwant %+v", strings.Join(lines, "\n"), s)
	}
}

// TestCgroupMounts: /sys/fs/cgroup as engines mount it: read-only as docker does, writable as a privileged
// container has it, the unified tree alone or the controllers of version 1, with and without a cgroup
// namespace, and not at all.
func TestCgroupMounts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sight
		mount   string // the type of the file system; empty for none
		access  string
		private bool // a cgroup namespace
		user    int
	}{
		{sight{name: "none", says: "no cgroups: no cgroup file system is mounted"}, "", "", false, 0},
		{sight{name: "none, private", says: "no cgroups: no cgroup file system is mounted"}, "", "", true, 0},
		{sight{name: "unified, read-only", says: "no cgroups: /sys/fs/cgroup is mounted read-only"}, "cgroup2", "ro", false, 0},
		{sight{name: "unified, read-only, private", says: "no cgroups: /sys/fs/cgroup is mounted read-only"}, "cgroup2", "ro", true, 0},
		{sight{name: "unified, writable", silent: true}, "cgroup2", "rw", false, 0},
		{sight{name: "unified, writable, private", silent: true}, "cgroup2", "rw", true, 0},
		{sight{name: "unified, not ours", says: "permission denied"}, "cgroup2", "rw", false, 65534},
		{sight{name: "unified, not ours, private", says: "permission denied"}, "cgroup2", "rw", true, 65534},
		// What an engine mounts is what the host has: the controllers alone on one that has both versions.
		{sight{name: "engine's, read-only"}, "cgroup", "ro", false, 0},
		{sight{name: "engine's, read-only, private"}, "cgroup", "ro", true, 0},
		{sight{name: "engine's, writable"}, "cgroup", "rw", false, 0},
		{sight{name: "engine's, writable, private"}, "cgroup", "rw", true, 0},
		{sight{name: "engine's, not ours"}, "cgroup", "rw", false, 65534},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.user = test.user
			if test.mount != "" {
				b.mount("/sys/fs/cgroup", test.mount, "nosuid", "noexec", "nodev", "relatime", test.access)
			}
			if test.private {
				b.namespace("cgroup")
			}
			r := b.run(append([]string{"/upkeep", "--state=/run/upkeep"}, append(test.args, "/service")...)...)
			for _, line := range []string{"web up", "log: first words", "orphan of upkeep"} {
				says(t, r, line, 1)
			}
			says(t, r, "crash", 2)
			r.stop("TERM", soon, 0)
			for _, line := range []string{"web TERM", "log: last words"} {
				says(t, r, line, 1)
			}
			test.judge(t, r)
			if left := b.groups(); left != nil {
				t.Errorf("cgroups that are left: %v", left)
			}
		})
	}
}

// TestNoProc: upkeep is PID 1, and there is no /proc.
func TestNoProc(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.service("orphans", orphans)
	r := b.run("/bin/sh", "-c", "umount /proc && exec /upkeep --state=/run/upkeep /service -- guest listen")
	for _, line := range []string{"listening", "web up", "log: first words", "1000 orphans"} {
		says(t, r, line, 1)
	}
	b.noZombies()
	r.stop("TERM", soon, 5)
	for _, line := range []string{"SIGTERM", "web TERM", "log: last words"} {
		says(t, r, line, 1)
	}
	sight{}.judge(t, r)
}
