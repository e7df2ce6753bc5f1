package dialects_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"upkeep/fsstate"
	"upkeep/test/hardtimes/rig"
	"upkeep/test/harness"
)

// info is what upkeep writes beside the status.
func (v *service) info() fsstate.Info {
	i, _ := fsstate.ParseInfo([]byte(v.text("supervise/resume")))
	return i
}

func (v *service) starts() int {
	if n := v.info().Starts; n != nil {
		return *n
	}
	return 0
}

// cpu is the time that a process has taken.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), ") ")
	ticks := 0
	for _, w := range strings.Fields(after)[11:13] {
		n, _ := strconv.Atoi(w)
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100)
}

// TestStorm: 200 services that die at once, as long as it takes. Each starts once a second, so a core's
// time for a second is 5 ms for each start. No letter is lost or kept waiting for good.
func TestStorm(t *testing.T) {
	s := newStage(t, upkeep)
	const many = 200
	var services []*service
	for i := range many {
		var files []string
		switch i % 4 { // as others have them, too
		case 1:
			files = []string{"notification-fd", "3\n"}
		case 2:
			files = []string{"max-death-tally", "5\n"}
		}
		services = append(services, s.service(fmt.Sprintf("s%03d", i), "#!/bin/false\n", files...))
	}
	calm := s.service("calm", server(t, ""))
	s.open()
	calm.await("heard", "start\n")
	total := func() (n int) {
		for _, v := range services {
			n += v.starts()
		}
		return n
	}
	await(t, "the number of services that were never started", "0", func() string {
		n := 0
		for _, v := range services {
			if v.starts() == 0 {
				n++
			}
		}
		return strconv.Itoa(n)
	})
	starts, begin := total(), cpu(t, s.daemon.Pid())
	await(t, "the number of starts that are still to come", "0", func() string { return strconv.Itoa(max(0, starts+3*many-total())) })
	spent, n := cpu(t, s.daemon.Pid())-begin, total()-starts
	t.Logf("%d starts took %v of the daemon", n, spent)
	if spent > time.Duration(n)*5*time.Millisecond {
		t.Errorf("%d starts took %v of the daemon", n, spent)
	}
	calm.tell("h")
	calm.await("heard", "start\nHUP\n")
	var dirs []string
	for _, v := range services {
		dirs = append(dirs, v.dir)
	}
	rig.Svc(t, "d", dirs...)
	for _, v := range services {
		harness.Eventually(t, v.name+" is down and to be so", func() bool {
			b := v.status()
			return v.pid() == 0 && len(b) > 17 && b[17] == 'd'
		})
	}
	starts = total()
	rig.Svc(t, "o", dirs[:10]...)
	for _, v := range services[:10] {
		harness.Eventually(t, v.name+" was started once", func() bool { return v.starts() > 0 && v.pid() == 0 && v.text("supervise/status")[17] == 0 })
	}
	await(t, "the number of starts", strconv.Itoa(starts+10), func() string { return strconv.Itoa(total()) })
	if calm.text("heard") != "start\nHUP\n" {
		t.Errorf("the calm one heard %q", calm.text("heard"))
	}
	if got := rig.Client(t, "svstat", calm.dir); !strings.Contains(got, ": up (pid ") {
		t.Errorf("svstat: %s", got)
	}
}

// TestBackoff: the pause grows up to what the file says, and no further; u starts at once and ends it.
func TestBackoff(t *testing.T) {
	t.Parallel()
	s := newStage(t, upkeep)
	// When the kernel has made it, in ticks since the boot, and not when it got a processor.
	v := s.service("web", "#!/bin/sh\nread -r stat </proc/$$/stat\nset -- $stat\necho ${22} >>times\nexit 1\n", "backoff", "2\n")
	s.open()
	times := func() (list []int64) {
		for _, w := range strings.Fields(v.text("times")) {
			n, _ := strconv.ParseInt(w, 10, 64)
			list = append(list, n)
		}
		return list
	}
	harness.Eventually(t, "it was started four times", func() bool { return len(times()) >= 4 })
	list := times()
	for i, least := range []time.Duration{1, 2, 2} {
		// A tenth is jitter; what the run itself has taken is another one's.
		if gap := time.Duration(list[i+1]-list[i]) * (time.Second / 100); gap < least*time.Second*8/10 {
			t.Errorf("start %d came after %v", i+2, gap)
		}
	}
	v.awaitLong("waiting")
	if p := v.info().Pace; p > 2 {
		t.Errorf("the pace is %d s", p)
	}
}

// TestEssential: the end of the service is the end of everything, unless it was asked for.
func TestEssential(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, end string
		code      int
	}{
		{"code", "exit 7", 7}, {"zero", "exit 0", 0}, {"signal", "kill -KILL $$", 137},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, upkeep)
			v := s.service("web", "#!/bin/sh\necho start >>started\nread x <go\n"+test.end+"\n", "essential", "",
				"finish", "#!/bin/sh\necho $1 >>finished\n").gates("go")
			other := s.service("other", server(t, ""))
			s.open()
			other.await("heard", "start\n")
			v.await("started", "start\n")
			v.up(0)
			v.tell("d")
			harness.Eventually(t, "it is down", func() bool { return v.pid() == 0 })
			v.await("finished", "-1\n")
			s.daemon.Lives()
			v.tell("u")
			v.await("started", "start\nstart\n")
			v.release("go", "")
			if code := s.daemon.Wait(); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			other.await("heard", "start\nTERM\n")
			if n := strings.Count(v.text("finished"), "\n"); n != 2 {
				t.Errorf("finish ran %d times", n)
			}
		})
	}
}
