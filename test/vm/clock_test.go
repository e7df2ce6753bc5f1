package vm_test

import "testing"

// TestClock: whatever the clock says, before and after upkeep was killed or has executed itself anew, services go on
// and what ends at once is started again every second.
func TestClock(t *testing.T) {
	m := boot(t, hardware{initramfs: initramfs(t, tools(t).with(tree{
		"service/s/run":     script("exec 2>&1; while :; do echo line; sleep 0.2; done"),
		"service/s/log/run": script("exec multilog t /log"),
		"service/quick/run": script("echo >>/runs"),
		"init": script("exec 2>&1", "mkdir /proc /tmp", "mount -t proc proc /proc; mount -t devtmpfs dev /dev",
			"wait_for() { until eval \"$1\" >/dev/null 2>&1; do sleep 0.1; done; }",
			"pid() { svstat $1 | sed 's/.*pid \\([0-9]*\\).*/\\1/'; }",
			"start() { upkeep /service & wait_for 'svok /service/s && svok /service/s/log && svok /service/quick'; }",
			// goes_on says whether all is well: the same processes, and what ends, lines and letters have their effect.
			"goes_on() {",
			"  test $(pid /service/s) = $s -a $(pid /service/s/log) = $log || echo \"$1: started again\"",
			"  runs=$(($(wc -l </runs) + 2)); wait_for 'test $(wc -l </runs) -ge $runs'",
			"  lines=$(($(wc -l </log/current) + 3)); wait_for 'test $(wc -l </log/current) -ge $lines'",
			"  svc -d /service/quick; wait_for 'svstat /service/quick | grep -q \": down\"'; svc -u /service/quick",
			"  svstat /service/s; echo \"$1: goes on\"",
			"}",
			"date -s '2026-06-01 12:00:00'", "start",
			"wait_for 'svstat /service/s /service/s/log | grep -c pid | grep 2'", "s=$(pid /service/s) log=$(pid /service/s/log)",
			"for when in 1970-01-02 2090-01-01; do",
			"  date -s \"$when 12:00:00\"; goes_on \"running in $when\"",
			"  kill -KILL $!; wait $!; start; goes_on \"resumed in $when\"",
			"  kill -USR1 $!; wait_for 'upkeep ctl status /service | grep -q \"resumed [1-9]\"'; goes_on \"upgraded in $when\"",
			"  kill -KILL $!; wait $!; date -s '2040-01-01 12:00:00'; start; goes_on \"resumed after $when\"",
			"done",
			"kill -TERM $!; wait $!; echo upkeep ended with $?", "poweroff -f"),
	}))})
	m.off(powerDown)
	var want []string
	for _, when := range []string{"1970-01-02", "2090-01-01"} {
		for _, how := range []string{"running in ", "resumed in ", "upgraded in ", "resumed after "} {
			want = append(want, how+when+": goes on")
		}
	}
	m.inOrder(append(want, "upkeep ended with 0")...)
	if m.hasSaid(": started again") {
		t.Error("a service was started again")
	}
}
