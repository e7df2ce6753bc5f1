package chain_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"upkeep/test/harness"
)

func TestTai64nlocal(t *testing.T) {
	t.Parallel()
	r := need(t, "tai64nlocal")
	zones := []string{
		"UTC", "Europe/Berlin", "America/New_York", "right/UTC", "right/Europe/Berlin", "right/America/New_York",
		"Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT4,M3.2.0,M11.1.0",
		"<+0330>-3:30", "NZST-12NZDT,M9.5.0,M4.1.0/3", "", ":Asia/Tokyo", "Nowhere/AtAll", "/usr/share/zoneinfo/Asia/Tehran",
	}
	// Around leap seconds, changes of the hour, and the bounds of what has a year.
	seconds := []int64{0, -1, 78796800, 1483228826, 1341100824, 1341100825, 1616893200, 1635642000, 2145916800, 4102444800}
	for i := range 400 {
		var in strings.Builder
		for range 20 {
			sec := pick(r, seconds...) + int64(r.IntN(61)-30)
			switch r.IntN(4) {
			case 0:
				sec = r.Int64N(8e9) - 4e9
			case 1:
				sec = r.Int64N(4e11) - 6e10
			}
			nano := pick(r, 0, 500, uint32(r.IntN(1e9)), 1<<32-1)
			label := fmt.Sprintf("@%016x%08x", uint64(sec)+1<<62+10, nano)
			in.WriteString(pick(r, label, label, label, "0"+label, "\n", "@0000"+label[1:]))
			in.WriteString(pick(r, " mark", "", "Z", "\t@4000000037c219bf2ef02e94", "\x00\xff"))
			in.WriteString("\n")
		}
		if r.IntN(2) == 0 {
			in.WriteString(pick(r, "@4000", "@", "@4000000037c219bf2ef02e94 part", "part", "@4000000037c219bf2ef02e94"))
		}
		zone := "TZ=" + zones[i%len(zones)]
		compare(t, "tai64nlocal", run{env: []string{zone}, stdin: in.String()})
	}
	compare(t, "tai64nlocal", run{env: []string{}, stdin: "@4000000037c219bf2ef02e94 x\n"})
	for _, c := range []struct{ zone, label, want string }{
		{"UTC", "4000000037c219bf2ef02e94", "1999-08-24 04:04:05.787492500"},
		{"UTC", "400000000000000a00000000", "1970-01-01 00:00:00.000000000"},
		{"UTC", "400000000000000900000000", "1969-12-31 23:59:59.000000000"},
		{"UTC", "4000000058684680ffffffff", "2016-12-31 23:59:50.4294967295"},
		{"right/UTC", "40000000586846a400000000", "2016-12-31 23:59:60.000000000"},
		{"right/UTC", "40000000586846a500000000", "2017-01-01 00:00:00.000000000"},
	} {
		golden(t, "tai64nlocal", run{env: []string{"TZ=" + c.zone}, stdin: "@" + c.label + " x\n"}, result{stdout: c.want + " x\n"})
	}
}

// Of these the originals crash.
func TestMalformedLabels(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"tai64nlocal", "tai64nfrac"} {
		for _, in := range []string{
			"@\n", "@ x\n", "@zzz\n", "@400000003\n", "@4000000037c219bf\n", "@4000000037C219BF2EF02E94\n",
			"@4000000037c219bf2ef02e9400 x\n", "@" + strings.Repeat("f", 24) + " x\n", "@" + strings.Repeat("4", 9000) + " x",
		} {
			golden(t, name, run{stdin: in}, result{stdout: in})
		}
	}
}

func TestTai64nfrac(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, out string }{
		{"@4000000037c219bf2ef02e94 mark\n", "935467445.787492500 mark\n"},
		{"@400000000000000a000001f4\n", "0.000000500\n"},
		{"no label\n\nx", "no label\n\nx"},
		{"@400000000000000a000001f4", "0.000000500"},
	} {
		golden(t, "tai64nfrac", run{stdin: c.in}, result{stdout: c.out})
	}
}

// What daemontools writes after labels, ours writes, too.
func TestTai64n(t *testing.T) {
	t.Parallel()
	r := need(t, "tai64n")
	labels := regexp.MustCompile(`(?m)^@[0-9a-f]{24} `)
	for range 200 {
		var in strings.Builder
		for range r.IntN(8) {
			in.WriteString(strings.Repeat(pick(r, "x", "\x00", "@", "äö", ""), r.IntN(3000)) + "\n")
		}
		if r.IntN(2) == 0 {
			in.WriteString("part")
		}
		c := run{stdin: in.String()}
		want, got := c.of(t, "/usr/bin/tai64n"), c.of(t, harness.Bin(t, "tai64n"))
		for _, out := range []*string{&want.stdout, &got.stdout} {
			for _, label := range labels.FindAllString(*out, -1) {
				var nano uint32
				fmt.Sscanf(label[17:25], "%x", &nano)
				if !strings.HasPrefix(label, "@400000006") && !strings.HasPrefix(label, "@400000007") || nano%1000 != 500 {
					t.Errorf("the label %q", label)
				}
			}
			*out = labels.ReplaceAllString(*out, "@ ")
		}
		if got != want {
			t.Errorf("input %q:\nours: %v\ndaemontools': %v", c.stdin, got, want)
		}
	}
}

// A part of a line is passed on at once, and errors are silent.
func TestFilters(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"tai64n", "tai64nlocal", "tai64nfrac"} {
		cmd := exec.Command(harness.Bin(t, name))
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		p := harness.Start(t, syscall.SIGTERM, cmd)
		io.WriteString(in, "@4000000037c219bf2ef02e94 par")
		harness.Eventually(t, name+" passes on a part", func() bool { return strings.HasSuffix(p.Output(), " par") })
		in.Close()
		if code := p.Wait(); code != 0 || !strings.HasSuffix(p.Output(), " par") {
			t.Errorf("%s: exit code %d, %q", name, code, p.Output())
		}
		for _, c := range []struct{ in, out string }{{"/", "/dev/null"}, {"/etc/passwd", "/dev/full"}} {
			cmd := exec.Command("sh", "-c", `exec "$0" <"$1" >"$2"`, harness.Bin(t, name), c.in, c.out)
			if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 111 || len(out) > 0 {
				t.Errorf("%s <%s >%s: %v, %q", name, c.in, c.out, err, out)
			}
		}
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Error(err)
	}
}
