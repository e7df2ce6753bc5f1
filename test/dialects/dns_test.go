package dialects_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// dns makes a service directory of Debian's for a program that keeps its files below root.
func (s *stage) dns(name, directory, env string, files ...string) *service {
	s.t.Helper()
	program := harness.Need(s.t, name)[0]
	// Seed for dnscache comes from its stdin, as in the directory that Debian ships.
	run := fmt.Sprintf("#!/bin/sh\nexec 2>&1 </dev/urandom\nexec env ROOT=\"$PWD/root\" %s chpst -U%s %s\n", env, directory, program)
	v := s.service(name, run, append(files, "log/run", "#!/bin/sh\nexec cat >>current\n")...)
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("%s says %s", name, v.text("log/current"))
		}
	})
	return v
}

// TestTinydnsAndDnscache: the pair that everybody who comes from daemontools has. dnscache waits for
// tinydns, of which it asks.
func TestTinydnsAndDnscache(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t)
	harness.Need(t, "tinydns", "tinydns-data", "dnscache", "chpst", "dig")
	s := newStage(t, upkeep)
	// Their port is 53; an address of our own on the loopback keeps us from anyone else's.
	n := os.Getpid()
	server, cache := fmt.Sprintf("127.53.%d.%d", n>>8&255, n&255), fmt.Sprintf("127.54.%d.%d", n>>8&255, n&255)
	tinydns := s.dns("tinydns", "tinydns", "IP="+server, "down", "",
		"root/data", ".test:"+server+":a.ns.test:60\n+host.test:127.0.0.77:60\n")
	make := exec.Command(harness.Need(t, "tinydns-data")[0])
	make.Dir = tinydns.path("root")
	if out, code := harness.RunCmd(t, make); code != 0 {
		t.Fatalf("tinydns-data: %s", out)
	}
	dnscache := s.dns("dnscache", "dnscache", "IP="+cache+" IPSEND="+cache+" CACHESIZE=1000000",
		"trigger", "../tinydns/supervise/status\n", "root/ip/127", "", "root/servers/@", server+"\n", "root/servers/test", server+"\n")
	s.open()
	dnscache.waits("tinydns/supervise/status")
	if said := rig.Client(t, "upkeep", "check", s.root); !strings.Contains(said, "dnscache is a service directory of daemontoolsx") &&
		!strings.Contains(said, "dnscache: is a service directory of daemontoolsx") {
		t.Errorf("upkeep check says %s", said)
	}
	tinydns.tell("u")
	for _, who := range []string{server, cache} {
		await(t, "the answer of "+who, "127.0.0.77\n", func() string {
			out, err := exec.Command("dig", "+short", "+tries=1", "+time=2", "@"+who, "host.test").Output()
			if err != nil {
				return err.Error()
			}
			return string(out)
		})
	}
	// A cache that is restarted while its server is down waits again, and answers again.
	pid := dnscache.up(0)
	tinydns.tell("d")
	harness.Eventually(t, "tinydns is down", func() bool { return tinydns.pid() == 0 })
	dnscache.tell("t")
	dnscache.waits("tinydns/supervise/status")
	tinydns.tell("u")
	dnscache.up(pid)
	await(t, "the answer of "+cache, "127.0.0.77\n", func() string {
		out, err := exec.Command("dig", "+short", "+tries=1", "+time=2", "@"+cache, "host.test").Output()
		if err != nil {
			return err.Error()
		}
		return string(out)
	})
}
