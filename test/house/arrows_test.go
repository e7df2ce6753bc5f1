// Package house_test holds the rules of the source tree that no compiler holds: who may import whom, and
// that nothing but the stack of a goroutine has state.
package house_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "upkeep"

// rank is the height of a package: each may import only those that are lower.
var rank = map[string]int{
	"main": 6, "applet": 5, "daemon": 4, "supervisor": 3,
	"reaper": 2, "cgroup": 2, "fsstate": 2, "logpipe": 2, "tai64": 1,
}

// A goPackage is what go list says of a package.
type goPackage struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Standard   bool
}

// top is the directory of the module.
func top(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// dependencies lists the packages of the binary.
func dependencies(t *testing.T) map[string]goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,Imports,Standard", ".")
	cmd.Dir = top(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=") // as it is built
	out, err := cmd.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			t.Fatalf("go list: %v\n%s", err, failed.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	list := make(map[string]goPackage)
	for in := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := in.Decode(&p); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list[p.ImportPath] = p
	}
}

// ours returns the name of a package of the module, as rank has it.
func ours(path string) (name string, ok bool) {
	if path == module {
		return "main", true
	}
	return strings.CutPrefix(path, module+"/")
}

func TestImportsPointDown(t *testing.T) {
	for path, p := range dependencies(t) {
		name, ok := ours(path)
		if !ok {
			continue
		}
		if rank[name] == 0 {
			t.Errorf("the binary has a package %s, of which it is not said who may import it", name)
		}
		for _, i := range p.Imports {
			if lower, ok := ours(i); ok && rank[lower] >= rank[name] {
				t.Errorf("%s imports %s: the arrows point from main to applet, daemon, supervisor, then reaper, cgroup, fsstate and logpipe, then tai64", name, lower)
			}
		}
		if name == "reaper" || name == "cgroup" {
			if slices.Contains(p.Imports, module+"/tai64") {
				t.Errorf("%s imports tai64, which it has no use for", name)
			}
		}
		if name == "main" && slices.ContainsFunc(p.Imports, func(i string) bool { n, ok := ours(i); return ok && n != "applet" }) {
			t.Errorf("main imports more than applet: %q", p.Imports)
		}
	}
}

// TestWhatTheBinaryDoesNotHold: only reaper starts processes, and the rest is weight in a PID 1.
func TestWhatTheBinaryDoesNotHold(t *testing.T) {
	list := dependencies(t)
	for _, path := range []string{"os/exec", "net", "net/http", "plugin", "testing", "os/user", "text/template"} {
		if _, there := list[path]; !there {
			continue
		}
		for by, p := range list {
			if slices.Contains(p.Imports, path) {
				t.Errorf("%s imports %s", by, path)
			}
		}
	}
	for path := range list {
		if strings.HasPrefix(path, module+"/test") {
			t.Errorf("%s is in the binary", path)
		}
	}
}

// parse reads the source files of a package, without its tests.
func parse(t *testing.T, p goPackage) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	set := token.NewFileSet()
	files := make(map[string]*ast.File)
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = f
	}
	return set, files
}

// TestClientsNeedOnlyFsstate: a client command can be had without the daemon. What a service uses, svstat
// reads from its cgroup.
func TestClientsNeedOnlyFsstate(t *testing.T) {
	_, files := parse(t, dependencies(t)[module+"/applet"])
	allowed := map[string][]string{"svc": nil, "svstat": {"cgroup"}, "svok": nil, "svup": nil, "check": nil, "wait": nil}
	for command, more := range allowed {
		if files[command+".go"] == nil {
			t.Errorf("there is no applet/%s.go", command)
		}
		for file, f := range files {
			if file != command+".go" && !strings.HasPrefix(file, command+"_") {
				continue
			}
			for _, i := range f.Imports {
				path, _ := strconv.Unquote(i.Path.Value)
				if name, ok := ours(path); ok && name != "fsstate" && name != "tai64" && !slices.Contains(more, name) {
					t.Errorf("applet/%s imports %s", file, name)
				}
			}
		}
	}
}

// TestNoPackageHasState: what is declared with var at the top of a file is an error value, or a table that
// nobody changes.
func TestNoPackageHasState(t *testing.T) {
	for path, p := range dependencies(t) {
		if _, ok := ours(path); !ok {
			continue
		}
		set, files := parse(t, p)
		for _, at := range state(files) {
			t.Errorf("%v: %s is state of the whole package", set.Position(at.Pos()), at.Name)
		}
		for _, at := range startingInits(files) {
			t.Errorf("%v: init starts a goroutine", set.Position(at.Pos()))
		}
	}
}

// state finds the variables of a package that are neither error values nor tables.
func state(files map[string]*ast.File) (found []*ast.Ident) {
	changed := changedNames(files)
	for _, f := range files {
		for _, decl := range f.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				v := spec.(*ast.ValueSpec)
				for i, name := range v.Names {
					switch {
					case name.Name == "_":
					case changed[name.Name]:
						found = append(found, name)
					case strings.HasPrefix(name.Name, "err"), strings.HasPrefix(name.Name, "Err"):
					case i < len(v.Values) && table(v.Values[i]):
					default:
						found = append(found, name)
					}
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b *ast.Ident) int { return int(a.Pos() - b.Pos()) })
	return found
}

// table tells whether a variable's value is written down in full.
func table(value ast.Expr) bool {
	lit, ok := value.(*ast.CompositeLit)
	if !ok {
		return false
	}
	switch lit.Type.(type) {
	case *ast.ArrayType, *ast.MapType:
		return true
	}
	return false
}

// changedNames collects the names that are assigned to or whose address is taken, wholly or in part. It
// goes by the name alone, so a local variable had better not share that of a table.
func changedNames(files map[string]*ast.File) map[string]bool {
	changed := make(map[string]bool)
	var change func(e ast.Expr)
	change = func(e ast.Expr) {
		switch e := e.(type) {
		case *ast.Ident:
			changed[e.Name] = true
		case *ast.IndexExpr:
			change(e.X)
		case *ast.SelectorExpr:
			change(e.X)
		case *ast.StarExpr:
			change(e.X)
		case *ast.ParenExpr:
			change(e.X)
		}
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, e := range n.Lhs {
						change(e)
					}
				}
			case *ast.IncDecStmt:
				change(n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					change(n.X)
				}
			case *ast.RangeStmt:
				if n.Tok == token.ASSIGN {
					change(n.Key)
					change(n.Value)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") && len(n.Args) > 0 {
					change(n.Args[0])
				}
			}
			return true
		})
	}
	return changed
}

// startingInits finds go statements in functions init.
func startingInits(files map[string]*ast.File) (found []ast.Node) {
	for _, f := range files {
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Name.Name != "init" || fn.Recv != nil {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if g, ok := n.(*ast.GoStmt); ok {
					found = append(found, g)
				}
				return true
			})
		}
	}
	return found
}

// TestTheRulesBite shows that what the tests above look for is found.
func TestTheRulesBite(t *testing.T) {
	const source = `package p
var counter int
var cache = map[string]int{}
var names = [...]string{"a", "b"}
var table = map[string]int{"a": 1}
var list []string
var done chan int
var once sync.Once
var errBad = errors.New("bad")
var ErrGone error
var hook = func() {}
var sorted = []string{"b", "a"}
var shared = []int{1}
var _ io.Reader = x{}
func f() { cache["a"] = 1; sorted[0] = "a"; go g() ; h(&shared) }
func init() { if true { go f() } }
`
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{"p.go": f}
	var names []string
	for _, name := range state(files) {
		names = append(names, name.Name)
	}
	want := []string{"counter", "cache", "list", "done", "once", "hook", "sorted", "shared"}
	if !slices.Equal(names, want) {
		t.Errorf("found the state %q, want %q", names, want)
	}
	if got := startingInits(files); len(got) != 1 {
		t.Errorf("found %d goroutines that init starts, want 1", len(got))
	}
}

// TestEveryDirectoryHasItsPlace: a new package below the module is either one of the house or a test.
func TestEveryDirectoryHasItsPlace(t *testing.T) {
	root := top(t)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if e.IsDir() && (strings.HasPrefix(e.Name(), ".") && name != "." || name == "test") {
			return fs.SkipDir
		}
		if !e.IsDir() && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			dir := filepath.Dir(name)
			if dir == "." {
				dir = "main"
			}
			if rank[dir] == 0 {
				return fmt.Errorf("%s belongs to no package of the house", name)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
