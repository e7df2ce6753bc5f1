package conformance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"upkeep/test/harness"
)

func (s *service) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(s.dir, name))
	return string(b)
}

// worldly notes what a Go program can't see of its own birth.
const worldly = `#!/bin/sh
umask >umask
ulimit -n >nofile
ulimit -c >core
grep -E '^(SigBlk|SigIgn)' /proc/self/status >signals
nice >nice
cat /proc/self/oom_score_adj >oom
echo start $$ >>heard
exec sleep 900
`

// TestBirth compares what a service and its logger find when they start.
func TestBirth(t *testing.T) {
	const inherited = "group inherited\nsession inherited\n"
	session := expectation{inherited, but{"upkeep": {"group own\nsession own\n", diff("session")}}}
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		s := h.service("web", plain)
		traditional := h.service("traditional", plain)
		traditional.touch("no-setsid")
		logged, log := h.logged("logged", plain)
		world := h.script("world", worldly)
		h.open()
		for _, s := range []*service{s, traditional, logged, log, world} {
			s.await("up/u 1")
		}
		birth := func(s *service, session, stdin, stdout string) string {
			return "argv [\"./run\"]\ncwd " + s.dir + "\n" + session +
				"descriptor 0 " + stdin + "\ndescriptor 1 " + stdout + "\ndescriptor 2 said\n" + expectedEnvironment()
		}
		for _, c := range []struct {
			*service
			want string
		}{
			{s, birth(s, session.on(p), "null", "said")},
			{traditional, birth(traditional, inherited, "null", "said")},
			{logged, birth(logged, session.on(p), "null", "pipe")},
			{log, birth(log, session.on(p), "pipe", "said")},
		} {
			if got := c.read("birth"); got != c.want {
				t.Errorf("%s was born with\n%sinstead of\n%s", c.name, got, c.want)
			}
		}
		mine := worldOf(t)
		for name, want := range mine {
			if got := world.read(name); withoutLibrarySignals(got) != withoutLibrarySignals(want) {
				t.Errorf("%s: %q instead of %q", name, got, want)
			}
		}
	})
}

func expectedEnvironment() string {
	env := slices.Sorted(slices.Values(environment))
	return "environment " + strings.Join(env, "\nenvironment ") + "\n"
}

// worldOf is what a child of the test would note.
func worldOf(t testing.TB) map[string]string {
	dir := t.TempDir()
	script := strings.Replace(worldly, "exec sleep 900", "", 1)
	out, code := harness.Run(t, "/bin/sh", "-c", "cd "+dir+" && "+strings.TrimPrefix(script, "#!/bin/sh\n"))
	if code != 0 {
		t.Fatal(out)
	}
	notes := map[string]string{}
	for _, name := range []string{"umask", "nofile", "core", "signals", "nice", "oom"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		notes[name] = string(b)
	}
	return notes
}

// withoutLibrarySignals clears signals 32 and 33 from the masks that a service has noted: make, when it is
// what runs the tests, leaves its children with one of the C library's own signals ignored.
func withoutLibrarySignals(notes string) string {
	return regexp.MustCompile(`[0-9a-f]{16}`).ReplaceAllStringFunc(notes, func(mask string) string {
		n, _ := strconv.ParseUint(mask, 16, 64)
		return fmt.Sprintf("%016x", n&^(3<<31))
	})
}

// TestCarelessParent starts the daemon with ignored signals, low limits and a stray descriptor.
func TestCarelessParent(t *testing.T) {
	const cleared, ignored = "0000000000000000", "0000000000001200" // USR1 and PIPE
	signals := expectation{ignored, but{"upkeep": {cleared, diff("clean-start")}}}
	stray := expectation{"0 null\n1 said\n2 said\n7 null\n", but{"upkeep": {"0 null\n1 said\n2 said\n", diff("clean-start")}}}
	each(t, all, func(t *testing.T, p peer) {
		h := newHouse(t, p)
		h.wrap = []string{"/bin/sh", "-c", `trap "" USR1 PIPE; umask 27; ulimit -n 123; ulimit -c 0; exec 7</dev/null; exec "$@"`, "sh"}
		s := h.service("web", plain)
		world := h.script("world", worldly)
		h.open()
		s.await("up/u 1")
		world.await("up/u 1")
		for name, want := range map[string]string{
			"umask": "0027\n", "nofile": "123\n", "core": "0\n",
			"signals": "SigBlk:\t" + cleared + "\nSigIgn:\t" + signals.on(p) + "\n",
		} {
			if got := withoutLibrarySignals(world.read(name)); got != want {
				t.Errorf("%s: %q instead of %q", name, got, want)
			}
		}
		var fds string
		for line := range strings.Lines(s.read("birth")) {
			if fd, ok := strings.CutPrefix(line, "descriptor "); ok {
				fds += fd
			}
		}
		if fds != stray.on(p) {
			t.Errorf("descriptors:\n%sinstead of\n%s", fds, stray.on(p))
		}
	})
}
