package fsstate_test

import (
	"testing"

	"upkeep/fsstate"
)

func TestSuperviseDir(t *testing.T) {
	for _, c := range []struct{ variable, cwd, name, dir string }{
		{"", "/etc/svc/a", "supervise", "/etc/svc/a/supervise"},
		{"state", "/etc/svc/a", "state", "/etc/svc/a/state"},
		{"../state", "/etc/svc/a", "../state", "/etc/svc/state"},
		{"/run/sv", "/etc/svc/a", "/run/sv/etc:svc:a", "/run/sv/etc:svc:a"},
		{"/run/sv/", "/etc/svc/a", "/run/sv//etc:svc:a", "/run/sv//etc:svc:a"},
		{"/run/sv", "/", "/run/sv/", "/run/sv/"},
		{"/run/sv", "/a:b", "/run/sv/a:b", "/run/sv/a:b"},
	} {
		getenv := func(name string) string {
			if name != "SUPERVISEDIR" {
				t.Errorf("asked for %s", name)
			}
			return c.variable
		}
		if got := fsstate.SuperviseName(getenv, c.cwd); got != c.name {
			t.Errorf("SUPERVISEDIR=%q in %s: name %q, want %q", c.variable, c.cwd, got, c.name)
		}
		if got := fsstate.SuperviseDir(getenv, c.cwd); got != c.dir {
			t.Errorf("SUPERVISEDIR=%q in %s: directory %q, want %q", c.variable, c.cwd, got, c.dir)
		}
	}
}
