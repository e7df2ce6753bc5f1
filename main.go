// upkeep is one static binary that is every command of the daemontools family; the name it is
// called by, or its first argument, chooses which.
package main

import (
	"os"

	"upkeep/applet"
)

func main() {
	os.Exit(applet.Main(os.Args))
}
