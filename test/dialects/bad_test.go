package dialects_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// TestBadValues: whatever is in place of a value, the service runs by the default, and the daemon says
// what is wrong with which file of which service, once.
func TestBadValues(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	garbage := map[string]string{
		"timeout-kill": "soon", "timeout-finish": "-1", "max-death-tally": "many", "notification-fd": "3x", "backoff": "1m",
		"down-signal": "SIGNONE", "reload-signal": "65",
	}
	type bad struct {
		*service
		file, value string // as the message has it
	}
	var list []bad
	make := func(file, kind, value string, put func(path string) error) {
		v := s.service(file+"."+kind, server(t, ""))
		if err := put(v.path(file)); err != nil {
			t.Fatal(err)
		}
		list = append(list, bad{v, file, value})
	}
	for file, text := range garbage {
		write := func(text string) func(string) error {
			return func(path string) error { return os.WriteFile(path, []byte(text), 0o644) }
		}
		make(file, "garbage", fmt.Sprintf("%q", text), write(text))
		make(file, "empty", `""`, write(""))
		make(file, "binary", `"\x00\xff\x1b"`, write("\x00\xff\x1b\n"))
		make(file, "huge", strings.Repeat("9", 10), write(strings.Repeat("9", 1<<20)))
		make(file, "folder", "cannot be read", func(path string) error { return os.Mkdir(path, 0o755) })
		make(file, "fifo", "cannot be read", func(path string) error { return syscall.Mkfifo(path, 0o644) })
		make(file, "link", "cannot be read", func(path string) error { return os.Symlink(filepath.Base(path), path) })
	}
	s.open()
	for _, b := range list {
		b.await("heard", "start\n")
		s.daemon.EventuallySays(b.name+": ", b.file+" ", b.value, "; ")
	}
	for _, b := range list {
		b.tell("h")
		b.await("heard", "start\nHUP\n")
		b.tell("d") // down-signal's default
		b.await("heard", "start\nHUP\nTERM\n")
		harness.Eventually(t, "it is down", func() bool { return b.pid() == 0 })
	}
	for _, b := range list {
		n := 0
		for line := range strings.Lines(s.daemon.Output()) {
			if strings.Contains(line, b.name+": ") && strings.Contains(line, b.file+" ") {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s: %d messages", b.name, n)
		}
	}
	s.daemon.Lives()
	if len(s.daemon.Output()) > len(list)*400 {
		t.Errorf("so many words:\n%s", s.daemon.Output())
	}
	if t.Failed() {
		t.Logf("%s", s.daemon.Output())
	}
}

// TestBadWaits: a trigger or an after that can't be understood holds nothing up.
func TestBadWaits(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	var services []*service
	files := map[string]string{}
	for name, texts := range map[string][]string{
		"trigger": {" \n", "a\x00b\n", "/" + strings.Repeat("long/", 1000)},
		"after":   {"../up\n", strings.Repeat("x", 300), strings.Repeat("name\n", 20000), "\x00\n", ".hidden\n"},
	} {
		for i, text := range texts {
			v := s.service(fmt.Sprint(name, ".", i), server(t, ""), name, text)
			services, files[v.name] = append(services, v), name
		}
		folder := s.service(name+".folder", server(t, ""), name+"/.keep", "")
		services, files[folder.name] = append(services, folder), name
	}
	s.open()
	for _, v := range services {
		v.await("heard", "start\n")
		s.daemon.EventuallySays(v.name+": ", files[v.name]+" ")
	}
}

// TestBadScripts: finish, check and control that can't be executed do no harm.
func TestBadScripts(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	v := s.service("web", server(t, ""), "finish", "#!/nonexistent/interpreter\n", "control/t", "#!/nonexistent/interpreter\n")
	of6 := s.service("of6", server(t, ""), "finish", "#!/nonexistent/interpreter\n", "timeout-finish", "0")
	folder := s.service("folder", server(t, ""), "finish/.keep", "", "check", "#!/nonexistent/interpreter\n")
	s.open()
	for _, v := range []*service{v, of6, folder} {
		v.await("heard", "start\n")
		v.tell("t")
		v.await("heard", "start\nTERM\nstart\n")
		v.tell("d")
		harness.Eventually(t, "it is down", func() bool { return v.pid() == 0 })
		v.tell("u")
		v.up(0)
	}
	s.daemon.Lives()
	if rig.Client(t, "svstat", v.dir) == "" {
		t.Error("svstat says nothing")
	}
}
