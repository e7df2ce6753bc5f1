package check_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"upkeep/test/harness"
)

// shipped returns a service directory that one of Debian's packages ships.
func shipped(t *testing.T, pkg, dir string) string {
	t.Helper()
	if _, err := os.Stat(dir); err != nil {
		harness.Skip(t, "the package %s is not installed: there is no %s", pkg, dir)
	}
	return dir
}

// TestShippedByPackages: what Debian's packages ship for runit is read as what it is, and is in order.
func TestShippedByPackages(t *testing.T) {
	for _, p := range []struct {
		pkg, dir, dialect string
		logged            bool
	}{
		{"tinydns", "/etc/sv/tinydns", "daemontools", true},
		{"dnscache", "/etc/sv/dnscache", "daemontools", true},
		{"axfrdns", "/etc/sv/axfrdns", "daemontools", true},
		{"socklog-run", "/etc/sv/socklog-unix", "runit", true},
		{"socklog-run", "/etc/sv/socklog-klog", "daemontools", true},
		{"socklog-run", "/etc/sv/socklog-notify", "daemontools", false},
		{"git-daemon-run", "/etc/sv/git-daemon", "daemontools", true},
		{"openssh-server", "/etc/sv/ssh", "runit", true},
		{"getty-run", "/etc/sv/getty-tty1", "runit", false},
		{"getty-run", "/etc/sv/getty-ttyS0", "daemontools", false},
		{"runit", "/etc/sv/default-syslog", "runit", false},
	} {
		t.Run(filepath.Base(p.dir), func(t *testing.T) {
			dir := shipped(t, p.pkg, p.dir)
			list, code := checkJSON(t, "/", dir)
			if bad := wrong("/", list); code != 0 || bad != nil {
				t.Errorf("exit code %d: %q", code, bad)
			}
			if len(list) == 0 || list[0].Kind != "service" || *list[0].Dialect != p.dialect || (len(list) == 2) != p.logged {
				t.Errorf("%+v", list)
			}
		})
	}
}

// TestShippedTemplates reads those of runit-services, a root of 29. What is wrong with them is that the
// loggers get their run only when they are installed.
func TestShippedTemplates(t *testing.T) {
	root := shipped(t, "runit-services", "/usr/share/runit/sv")
	var want []string
	dirs, err := filepath.Glob(root + "/*/log")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir + "/run"); err != nil {
			name, _ := filepath.Rel(root, dir)
			want = append(want, name+"/run is missing; the service cannot be started")
		}
	}
	list, code := checkJSON(t, "/", root)
	if got := wrong(root, list); !slices.Equal(got, want) || code != 1 {
		t.Errorf("exit code %d: %q, want %q", code, got, want)
	}
	dialects := make(map[string]string)
	for _, c := range list {
		if c.Dialect != nil {
			dialects[filepath.Base(c.Path)] = *c.Dialect
		}
	}
	if list[0].Kind != "root" || len(dialects) < 20 {
		t.Errorf("%d services: %v", len(dialects), dialects)
	}
	for name, want := range map[string]string{
		"apache2": "runit", "atd": "daemontools", "chrony": "runit", "dbus": "runit", "elogind": "runit", "postfix": "runit", "rsyslog": "daemontools",
	} {
		if dialects[name] != want {
			t.Errorf("%s is %s's, want %s", name, dialects[name], want)
		}
	}
}
