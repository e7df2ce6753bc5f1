package fsstate_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"upkeep/fsstate"
)

// waits reads "a:b,c d:a" as "a waits for b and c, d for a".
func waits(text string) map[string][]string {
	m := make(map[string][]string)
	for word := range strings.FieldsSeq(text) {
		name, list, _ := strings.Cut(word, ":")
		m[name] = strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
	}
	return m
}

func TestCycles(t *testing.T) {
	for _, test := range []struct {
		waits   string
		want    []string
		ignored string
	}{
		{"", nil, ""},
		{"a:b b:c c:d", nil, ""},
		{"a:b,c b:d c:d", nil, ""},
		{"a:nobody b:nobody", nil, ""},
		{"a:a", []string{"a waits for a"}, "a:a"},
		{"a:b b:a", []string{"a waits for b, b for a"}, "a:b"},
		{"b:a a:b", []string{"a waits for b, b for a"}, "a:b"},
		{"c:a a:b b:c", []string{"a waits for b, b for c, c for a"}, "a:b b:c"},
		{"c:b b:a a:c", []string{"a waits for c, c for b, b for a"}, "a:c"},
		{"a:b b:a,x x:", []string{"a waits for b, b for a"}, "a:b"},
		{"first:a a:b b:a", []string{"a waits for b, b for a"}, "a:b"},
		{"a:b b:a c:d d:c x:c", []string{"a waits for b, b for a", "c waits for d, d for c"}, "a:b c:d"},
		{"z:z a:b b:a", []string{"a waits for b, b for a", "z waits for z"}, "a:b z:z"},
		// Two ways around in one set: the shorter one is named, and both are broken.
		{"a:b,x b:c c:a x:a", []string{"a waits for x, x for a"}, "a:b,x b:c"},
		{"a:b b:a,b", []string{"a waits for b, b for a"}, "a:b b:b"},
		{"a:b,b,c b:a c:a", []string{"a waits for b, b for a"}, "a:b,c"},
		{"é:Z Z:é", []string{"Z waits for é, é for Z"}, "Z:é"},
	} {
		found := fsstate.Cycles(waits(test.waits))
		var got []string
		cut := make(map[string][]string)
		for _, c := range found {
			got = append(got, c.String())
			maps.Copy(cut, c.Ignored)
		}
		if !slices.Equal(got, test.want) || !reflect.DeepEqual(cut, waits(test.ignored)) {
			t.Errorf("%q:\n%q, %v; want\n%q, %s", test.waits, got, cut, test.want, test.ignored)
		}
	}
}

// TestCyclesAreBroken: without what is ignored, all services can be started.
func TestCyclesAreBroken(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		m := make(map[string][]string)
		n := 1 + r.IntN(12)
		for range r.IntN(3 * n) {
			from := fmt.Sprint(r.IntN(n))
			m[from] = append(m[from], fmt.Sprint(r.IntN(n)))
		}
		cycles := fsstate.Cycles(m)
		if again := fsstate.Cycles(m); !reflect.DeepEqual(cycles, again) {
			t.Fatalf("%v: %v, then %v", m, cycles, again)
		}
		for _, c := range cycles {
			for i, name := range c.Names {
				if next := c.Names[(i+1)%len(c.Names)]; !slices.Contains(m[name], next) {
					t.Fatalf("%v: %v, but %s does not wait for %s", m, c, name, next)
				}
			}
			for name, cut := range c.Ignored {
				m[name] = slices.DeleteFunc(m[name], func(next string) bool { return slices.Contains(cut, next) })
			}
		}
		if left := fsstate.Cycles(m); left != nil {
			t.Fatalf("%v are left", left)
		}
	}
}

// TestManyServices: a long chain is no cycle, and no slow one to find either.
func TestManyServices(t *testing.T) {
	m := make(map[string][]string)
	const n = 20000
	for i := range n {
		m[fmt.Sprintf("%06d", i)] = []string{fmt.Sprintf("%06d", i+1)}
	}
	if found := fsstate.Cycles(m); found != nil {
		t.Errorf("%v", found)
	}
	m[fmt.Sprintf("%06d", n)] = []string{"000000"}
	if found := fsstate.Cycles(m); len(found) != 1 || len(found[0].Names) != n+1 || len(found[0].Ignored) != n {
		t.Errorf("%d cycles", len(found))
	}
}
