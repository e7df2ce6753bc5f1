package fsstate_test

import (
	"testing"

	"upkeep/fsstate"
	"upkeep/test/harness"
)

// BenchmarkRead reads what nearly every service directory is: a run, and what supervising has made.
func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	harness.WriteFile(b, dir+"/run", "#!/bin/sh\nexec sleep 1000\n", 0o755)
	harness.WriteFile(b, dir+"/supervise/status", "", 0o644)
	for b.Loop() {
		if _, err := fsstate.Read(dir); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
}
