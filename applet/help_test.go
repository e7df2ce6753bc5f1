package applet

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestHelpKnowsTheCommands: what lookup finds, help lists and install makes a link to, and nothing else.
// upkeep is what the program is under any name that lookup does not know.
func TestHelpKnowsTheCommands(t *testing.T) {
	known := lookedUp(t)
	for _, name := range known {
		if _, ok := lookup(name); !ok {
			t.Fatalf("lookup has a case for %s and does not find it", name)
		}
	}
	listed := []string{"check", "ctl", "help", "install", "wait"}
	for _, name := range commands() {
		if name != "upkeep" {
			listed = append(listed, name)
		}
	}
	slices.Sort(known)
	slices.Sort(listed)
	if !slices.Equal(known, listed) {
		t.Errorf("lookup knows %q,\nhelp knows %q", known, listed)
	}
}

// lookedUp are the cases of the switch in lookup.
func lookedUp(t *testing.T) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "applet.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Name.Name != "lookup" {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			if c, ok := n.(*ast.CaseClause); ok {
				for _, e := range c.List {
					name, err := strconv.Unquote(e.(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					names = append(names, name)
				}
			}
			return true
		})
	}
	return names
}

func TestHelpTableIsInOrder(t *testing.T) {
	byName := func(a, b helpEntry) int { return strings.Compare(a.name, b.name) }
	if !slices.IsSortedFunc(helpTable(), byName) {
		t.Error("it is not sorted")
	}
	for _, e := range append(helpTable(), subcommands()...) {
		if e.about == "" || strings.HasSuffix(e.about, ".") || strings.Contains(e.about, "\n") {
			t.Errorf("%s is described by %q", e.name, e.about)
		}
	}
}
