package conformance_test

import (
	"os/exec"
	"testing"

	"upkeep/test/harness"
)

// A peer is one implementation: what supervises a root, what supervises one service, its clients.
type peer struct {
	name      string // of the subtest
	like      string // whose column of the table holds: "daemontools", "runit" or "upkeep"
	scan      func(t testing.TB, root string) *exec.Cmd
	supervise func(t testing.TB, dir string) *exec.Cmd
	client    func(t testing.TB, name string) string // svc, svstat, svok
}

func installed(t testing.TB, name string) string { return harness.Need(t, name)[0] }

func (p peer) ours() bool { return p.like == "upkeep" }

var (
	daemontools = peer{
		name: "daemontools", like: "daemontools", client: installed,
		scan:      func(t testing.TB, root string) *exec.Cmd { return exec.Command(installed(t, "svscan"), root) },
		supervise: func(t testing.TB, dir string) *exec.Cmd { return exec.Command(installed(t, "supervise"), dir) },
	}
	// runit is driven with daemontools' clients, which its control files were made for; its own sv
	// has a scenario of its own.
	runit = peer{
		name: "runit", like: "runit", client: installed,
		scan:      func(t testing.TB, root string) *exec.Cmd { return exec.Command(installed(t, "runsvdir"), root) },
		supervise: func(t testing.TB, dir string) *exec.Cmd { return exec.Command(installed(t, "runsv"), dir) },
	}
	upkeep = peer{
		name: "upkeep", like: "upkeep", client: harness.Bin,
		scan: func(t testing.TB, root string) *exec.Cmd { return exec.Command(harness.Bin(t, "upkeep"), root) },
		supervise: func(t testing.TB, dir string) *exec.Cmd {
			return exec.Command(harness.Bin(t, "upkeep"), "supervise", dir)
		},
	}
	// foreignClients is upkeep with the clients that its users have already.
	foreignClients = peer{
		name: "upkeep with daemontools' clients", like: "upkeep", client: installed,
		scan: upkeep.scan, supervise: upkeep.supervise,
	}
	// ourClients is daemontools with our clients.
	ourClients = peer{
		name: "daemontools with our clients", like: "daemontools", client: harness.Bin,
		scan: daemontools.scan, supervise: daemontools.supervise,
	}
	all = []peer{daemontools, runit, upkeep}
)

// each runs a scenario on every peer at the same time.
func each(t *testing.T, peers []peer, scenario func(t *testing.T, p peer)) {
	t.Parallel()
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			scenario(t, p)
		})
	}
}

// A diff names an intended difference: the anchor in docs/compatibility.md that gives the reason.
type diff string

// An expectation is what must be seen on every peer, but for the named exceptions.
type expectation struct {
	see string
	but but
}

type (
	but       map[string]exception // by peer.like
	exception struct {
		see string
		why diff
	}
)

func same(see string) expectation { return expectation{see: see} }

func (e expectation) on(p peer) string {
	if x, ok := e.but[p.like]; ok {
		return x.see
	}
	return e.see
}
