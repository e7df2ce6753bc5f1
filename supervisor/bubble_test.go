package supervisor

import (
	"testing"
	"testing/synctest"
	"time"
)

// inBubble runs a test whose time is its own. That time stands still as soon as the test itself returns, so before
// that everybody is given the time in which nobody waits for a turn or a worker any longer.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(2 * stuckAfter)
		test(t)
	})
}
