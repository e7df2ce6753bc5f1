package fsstate

import "slices"

// FileNames are the names that mean something in a service directory.
func FileNames() []string { return slices.Clone(fileNames[:]) }
