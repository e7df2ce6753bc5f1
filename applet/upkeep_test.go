package applet

import (
	"testing"
	"time"
)

// TestStopTimeout: unless it is said otherwise what is left gets KILL before a container's engine would send that to
// all, after ten seconds.
func TestStopTimeout(t *testing.T) {
	c, err := parseUpkeep(nil)
	if err != nil || c.StopTimeout <= 5*time.Second || c.StopTimeout >= 10*time.Second {
		t.Errorf("the time to stop is %v, %v", c.StopTimeout, err)
	}
}
