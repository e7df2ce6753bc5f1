package daemon

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNotOnMachine: no test runs as the init of a machine.
func TestNotOnMachine(t *testing.T) {
	if m := OnMachine(); m != nil {
		t.Fatal("this process takes itself for the init of a machine")
	}
	var m *Machine
	m.ordered(unix.SIGTERM) // means nothing, and must not fail
}

// TestOrders: the last order decides how the machine ends; QUIT only hurries.
func TestOrders(t *testing.T) {
	for _, c := range []struct {
		orders []unix.Signal
		want   string
	}{
		{nil, "powering off"}, // a command or an essential service has ended
		{[]unix.Signal{unix.SIGTERM}, "powering off"},
		{[]unix.Signal{unix.SIGPWR}, "powering off"},
		{[]unix.Signal{unix.SIGQUIT}, "powering off"},
		{[]unix.Signal{unix.SIGINT}, "restarting"},
		{[]unix.Signal{unix.SIGINT, unix.SIGQUIT}, "restarting"},
		{[]unix.Signal{unix.SIGINT, unix.SIGTERM}, "powering off"},
		{[]unix.Signal{unix.SIGPWR, unix.SIGINT}, "restarting"},
	} {
		_, fd := outlet(t)
		m := &Machine{machinery: &machinery{messages: newMessages("upkeep", fd)}}
		for _, s := range c.orders {
			m.ordered(s)
		}
		if got := m.ending(); got != c.want {
			t.Errorf("after %v it is %q, want %q", c.orders, got, c.want)
		}
		m.messages.close(0)
	}
}

func TestToUnmount(t *testing.T) {
	const table = `rootfs / rootfs rw 0 0
/dev/nvme0n1 / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
cgroup2 /sys/fs/cgroup cgroup2 rw 0 0
tmpfs /run tmpfs rw 0 0
/dev/sdb1 /srv/my\040data xfs rw 0 0
server:/export /srv/my\040data/back\134slash nfs4 rw 0 0

broken
`
	want := []mountedAt{{`/srv/my data/back\slash`, "nfs4"}, {"/srv/my data", "xfs"}, {"/", "ext4"}}
	if got := toUnmount(table); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := toUnmount(""); len(got) != 0 {
		t.Errorf("got %v of nothing", got)
	}
}

func TestMounted(t *testing.T) {
	for dir, want := range map[string]bool{"/proc": true, "/proc/self": false, t.TempDir(): false, "/nonexistent": false} {
		if got := mounted(dir); got != want {
			t.Errorf("%s is mounted: %v", dir, got)
		}
	}
}

func TestUnwritten(t *testing.T) {
	for text, want := range map[string]int{
		"MemTotal:  1000 kB\nDirty:   12 kB\nWriteback:  3 kB\nWritebackTmp:  5 kB\n": 15,
		"Dirty:\nWriteback: many kB\n": 0,
		"":                             0,
	} {
		if got := unwrittenOf(text); got != want {
			t.Errorf("%q: %d kB, want %d", text, got, want)
		}
	}
}

// TestFiller: only what the runtime opens for a closed descriptor is taken for it.
func TestFiller(t *testing.T) {
	for _, c := range []struct {
		path  string
		flags int
		want  bool
	}{
		{"/dev/null", unix.O_RDWR, true},
		{"/dev/null", unix.O_RDONLY, false},
		{"/dev/null", unix.O_WRONLY, false},
		{"/dev/zero", unix.O_RDWR, false},
	} {
		fd, err := unix.Open(c.path, c.flags|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := isFiller(fd); got != c.want {
			t.Errorf("%s with flags %#o: %v", c.path, c.flags, got)
		}
		unix.Close(fd)
	}
}
