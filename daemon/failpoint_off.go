//go:build !failpoint

package daemon

// failOrder breaks the daemon if the verb says so, in programs that are built with the tag failpoint.
func failOrder(string) {}
