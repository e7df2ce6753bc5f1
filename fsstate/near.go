package fsstate

import "strings"

// near finds the file that a name which means nothing may have been meant for: one that differs by
// capitals and the kind of dash, or, if it is no short word, by one letter too many, too few, another or
// exchanged. "" is none.
func near(name string) string {
	if strings.HasSuffix(name, "~") { // an editor's
		return ""
	}
	plain := strings.NewReplacer("_", "-", ".", "-", " ", "-").Replace(strings.ToLower(name))
	for f, known := range fileNames {
		if file(f) == fileEvent { // nobody makes that by hand
			continue
		}
		if plain == known || len(known) >= 4 && oneSlip(plain, known) {
			return known
		}
	}
	return ""
}

// oneSlip tells whether b becomes a by one insertion, deletion, replacement or exchange of neighbours.
func oneSlip(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	switch {
	case i == len(a), a[i+1:] == b[i+1:]:
		return true
	case i+1 < len(a):
		return a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
	}
	return false
}
