package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		samples []float64
		want    float64
		ok      bool
	}{
		{nil, 0, false},
		{[]float64{3}, 3, true},
		{[]float64{5, 1, 3}, 3, true},
		{[]float64{4, 1, 2, 3}, 2.5, true},
	} {
		if got, ok := median(c.samples); got != c.want || ok != c.ok {
			t.Errorf("median(%v) = %v, %v", c.samples, got, ok)
		}
	}
}

func TestUnits(t *testing.T) {
	for got, want := range map[string]string{
		number(901):       "901",
		number(0):         "0",
		number(2.5):       "2.50",
		size(97 << 10):    "97.0 KiB",
		size(85 << 20):    "85.0 MiB",
		size(-512):        "-0.5 KiB",
		duration(2.104):   "2.10 s",
		duration(0.3):     "300 ms",
		duration(0.00273): "2.73 ms",
		duration(12.3e-6): "12.3 µs",
		ratio(0.5):        "0.50×",
		ratio(0.0039):     "0.0039×",
		ratio(310.7):      "310.70×",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat("42 (a ) (b) S 7 42 42 0 -1 4194560 100 0 0 0 3 4 0 0 20 0 1 0 98765 1000 10 18446744073709551615\n")
	if want := (process{pid: 42, parent: 7, state: 'S', ticks: 7, started: 98765}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := parseStat("42 (short) S 1"); err == nil {
		t.Error("a short line is accepted")
	}
}

func TestFamilyAndKill(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	all, err := family(os.Getpid())
	if err != nil || len(all) < 2 || all[0].pid != os.Getpid() {
		t.Fatalf("family: %+v, %v", all, err)
	}
	child, err := readProcess(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	other := child
	other.started++
	if err := other.kill(); err != nil {
		t.Error(err)
	}
	time.Sleep(20 * time.Millisecond)
	if now, err := readProcess(child.pid); err != nil || now.state == 'Z' {
		t.Errorf("another process of that pid was killed: %+v, %v", now, err)
	}
	if err := child.kill(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("sleep ended with %v", err)
	}
}

func TestCountCalls(t *testing.T) {
	const output = `7 99.000000 poll([{fd=3}], 1, 5000) = 0 (Timeout)
7 100.500000 stat("/a b", {...}) = 0
8 100.600000 futex(0x1, FUTEX_WAIT <unfinished ...>
7 100.700000 <... poll resumed>) = 0
8 100.800000 +++ exited with 0 +++
7 103.000000 poll([{fd=3}], 1, 5000) = 0
`
	n, err := countCalls(strings.NewReader(output), time.Unix(100, 0), time.Unix(102, 0))
	if err != nil || n != 2 {
		t.Errorf("counted %d, %v, want 2", n, err)
	}
}

func TestReplaceBlock(t *testing.T) {
	block := beginMarker + "\nnew\n" + endMarker + "\n"
	got, err := replaceBlock("a\n"+beginMarker+"\nold\n"+endMarker+"\nz\n", block)
	if want := "a\n" + block + "z\n"; err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := replaceBlock("no markers\n", block); err == nil {
		t.Error("a page without markers is accepted")
	}
}

func TestBudgets(t *testing.T) {
	b := &bench{options: options{services: 900}, peers: []peer{{name: ours}, {name: baseline}},
		samples: map[figure]map[string][]float64{
			startAll:  {ours: {1.5}, baseline: {2}},
			processes: {ours: {1}, baseline: {901}},
		}}
	text, exceeded := b.report()
	if !exceeded || !strings.Contains(text, "| 1.50 s (0.75×) | 2.00 s | ≤ 0.5 × daemontools, **exceeded** |") {
		t.Errorf("exceeded: %v, report:\n%s", exceeded, text)
	}
	b.samples[startAll][ours][0] = 1
	if text, exceeded := b.report(); exceeded || !strings.Contains(text, "| 1 (0.0011×) | 901 | 1, kept |") {
		t.Errorf("exceeded: %v, report:\n%s", exceeded, text)
	}
}

func TestLoggerBudgets(t *testing.T) {
	b := &bench{peers: []peer{{name: ours}, {name: baseline}},
		samples: map[figure]map[string][]float64{
			logRate:    {ours: {700e6}, baseline: {100e6}, plainCopy: {1000e6}},
			chainStart: {ours: {0.005}, baseline: {0.002}},
		}}
	text, exceeded := b.report()
	for _, want := range []string{
		"| 700 MB/s (7.00×) | 100 MB/s | ≥ 7 × daemontools, kept |", "| 0.70 (7.00×) | 0.10 | ≥ 0.4, kept |", "more than daemontools, kept |",
	} {
		if exceeded || !strings.Contains(text, want) {
			t.Errorf("exceeded: %v, no %q in:\n%s", exceeded, want, text)
		}
	}
	b.samples[logRate][ours][0] = 300e6
	if text, exceeded := b.report(); !exceeded || strings.Count(text, "**exceeded**") != 2 {
		t.Errorf("exceeded: %v, report:\n%s", exceeded, text)
	}
}
