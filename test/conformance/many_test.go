package conformance_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"upkeep/test/harness"
)

// TestManyServices brings 900 services up, and takes them down with one svc.
func TestManyServices(t *testing.T) {
	const count = 900
	for _, p := range []peer{daemontools, upkeep} { // one after the other, and alone
		t.Run(p.name, func(t *testing.T) {
			h := newHouse(t, p)
			var services []*service
			args := []string{"-dx"}
			for i := range count {
				s := h.bare(fmt.Sprintf("s%03d", i))
				harness.WriteFile(t, filepath.Join(s.dir, "run"), "#!/bin/sh\nexec sleep 900\n", 0o755)
				h.list(s)
				services = append(services, s)
				args = append(args, s.dir)
			}
			h.open()
			for _, s := range services {
				s.awaitState("up/u")
			}
			for _, s := range services {
				h.unlist(s)
			}
			if out, code := harness.Run(t, p.client(t, "svc"), args...); out != "" || code != 0 {
				t.Errorf("svc: code %d, %s", code, out)
			}
			for _, s := range services {
				s.awaitState("gone")
			}
			harness.Eventually(t, "no process is left", func() bool {
				left := h.residents()
				return len(left) == 0 || len(left) == 1 && left[0] == h.daemon.Process.Pid
			})
			if said := h.said(); p.name == daemontools.name && said != "" {
				t.Errorf("said: %s", said)
			}
		})
	}
}
