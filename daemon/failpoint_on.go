//go:build failpoint

package daemon

func failOrder(verb string) {
	if verb == "panic" {
		panic("an order asked for it")
	}
}
