package fsstate

import (
	"maps"
	"slices"
	"strings"
)

// A Cycle is a set of services that wait for each other, so that none of them would ever be started.
type Cycle struct {
	// Names is one way around, the shortest from the first name in ASCII order back to it: each waits
	// for the next, and the last for the first.
	Names []string
	// Ignored are the waits that are to be left out so that the services of the set can be started:
	// those of a service for itself and for one that comes later in ASCII order. By service.
	Ignored map[string][]string
}

// String is, for instance, "a waits for b, b for c, c for a".
func (c Cycle) String() string {
	var b strings.Builder
	for i, name := range c.Names {
		next := c.Names[(i+1)%len(c.Names)]
		if i == 0 {
			b.WriteString(name + " waits for " + next)
		} else {
			b.WriteString(", " + name + " for " + next)
		}
	}
	return b.String()
}

// Cycles finds the services that wait for each other. waits has for each service those that it waits
// for; one that is not a key waits for none. What it returns depends on nothing else, and is in ASCII
// order. Without what is Ignored there is no cycle left.
func Cycles(waits map[string][]string) (found []Cycle) {
	t := tangles{waits: waits, seen: make(map[string]int), low: make(map[string]int), open: make(map[string]bool)}
	for _, name := range slices.Sorted(maps.Keys(waits)) {
		if t.seen[name] == 0 {
			t.visit(name)
		}
	}
	for _, set := range t.found {
		slices.Sort(set)
		found = append(found, Cycle{Names: around(waits, set), Ignored: ignored(waits, set)})
	}
	slices.SortFunc(found, func(a, b Cycle) int { return strings.Compare(a.Names[0], b.Names[0]) })
	return found
}

// tangles finds the strongly connected sets of more than one service, or of one that waits for itself,
// by Tarjan's algorithm.
type tangles struct {
	waits map[string][]string
	seen  map[string]int // in which order, from 1 on
	low   map[string]int // the first of those seen that is known to be reached
	stack []string
	open  map[string]bool // on the stack
	found [][]string
}

func (t *tangles) visit(name string) {
	order := len(t.seen) + 1
	t.seen[name], t.low[name] = order, order
	t.stack = append(t.stack, name)
	t.open[name] = true
	for _, next := range t.waits[name] {
		if t.seen[next] == 0 {
			t.visit(next)
			t.low[name] = min(t.low[name], t.low[next])
		} else if t.open[next] {
			t.low[name] = min(t.low[name], t.seen[next])
		}
	}
	if t.low[name] != order {
		return
	}
	start := len(t.stack) - 1
	for t.stack[start] != name {
		start--
	}
	set := slices.Clone(t.stack[start:])
	t.stack = t.stack[:start]
	for _, n := range set {
		t.open[n] = false
	}
	if len(set) > 1 || slices.Contains(t.waits[name], name) {
		t.found = append(t.found, set)
	}
}

// around is the shortest way from the first of a set back to it, and of several the first.
func around(waits map[string][]string, set []string) []string {
	first := set[0]
	from := make(map[string]string)
	for queue := []string{first}; len(queue) > 0; queue = queue[1:] {
		name := queue[0]
		for _, next := range slices.Sorted(slices.Values(waits[name])) {
			if next == first {
				way := []string{name}
				for name != first {
					name = from[name]
					way = append(way, name)
				}
				slices.Reverse(way)
				return way
			}
			if _, known := from[next]; !known {
				if _, inside := slices.BinarySearch(set, next); inside {
					from[next] = name
					queue = append(queue, next)
				}
			}
		}
	}
	return set // no way: set was no tangle
}

func ignored(waits map[string][]string, set []string) map[string][]string {
	cut := make(map[string][]string)
	for _, name := range set {
		for _, next := range slices.Compact(slices.Sorted(slices.Values(waits[name]))) {
			if _, inside := slices.BinarySearch(set, next); inside && next >= name {
				cut[name] = append(cut[name], next)
			}
		}
	}
	return cut
}
