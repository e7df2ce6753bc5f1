package fsstate

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// IsService tells whether the directory at path is a service directory, and not a root of them: whether
// it holds one of the files run, start, finish and down, or something called supervise.
func IsService(path string) bool {
	for _, name := range [...]string{"run", "start", "finish", "down", "supervise"} {
		var st unix.Stat_t
		if unix.Lstat(filepath.Join(path, name), &st) != nil {
			continue
		}
		if name == "supervise" || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return true
		}
	}
	return false
}

// A RootExamination is what is remarkable about a root of service directories, and about each of them.
type RootExamination struct {
	Path     string
	Services []*Examination // in ASCII order, as they are started
	Findings []Finding
}

func (r *RootExamination) found(s Severity, file, format string, args ...any) {
	(*findings)(&r.Findings).add(s, file, format, args...)
}

// ExamineRoot examines the service directories of a root, those that the daemon would take up, and
// whether they wait for each other.
func ExamineRoot(path string) (*RootExamination, error) {
	_, isDir, err := Identify(path)
	if err == nil && !isDir {
		err = ErrNoDirectory
	}
	var entries []os.DirEntry
	if err == nil {
		entries, err = os.ReadDir(path) // in ASCII order
	}
	if err != nil {
		return nil, errnoOf(err)
	}
	r := &RootExamination{Path: path}
	taken := make(map[ID]string)
	for _, e := range entries {
		name := e.Name()
		if name[0] == '.' {
			continue
		}
		service := filepath.Join(path, name)
		id, isDir, err := Identify(service)
		switch {
		case err == unix.ENOENT:
			to, _ := os.Readlink(service)
			r.found(Warning, name, "is a link to %s, which is not there", to)
		case err != nil:
			r.found(Warning, name, "cannot be looked at: %v", err)
		case !isDir: // as svscan has it, that is no service
		case taken[id] != "":
			r.found(Note, name, "is the same directory as %s, which makes them one service", taken[id])
		default:
			taken[id] = name
			r.examine(service, name)
		}
	}
	r.waits(taken)
	return r, nil
}

func (r *RootExamination) examine(path, name string) {
	x, err := Examine(path, name)
	if err != nil {
		r.found(Fault, name, "cannot be read: %v", err)
		return
	}
	r.Services = append(r.Services, x)
}

// waits looks at who waits for whom.
func (r *RootExamination) waits(taken map[ID]string) {
	names := make(map[string]bool)
	for _, name := range taken {
		names[name] = true
	}
	waits := make(map[string][]string)
	for _, service := range r.Services {
		for x := service; x != nil; x = x.Log {
			for _, name := range x.Definition.After {
				if !names[name] {
					x.found(Warning, "after", "names %s, which is no service of %s; it is waited for until there is one", name, r.Path)
				}
			}
			waits[x.Name] = r.others(x, taken)
		}
	}
	for _, c := range Cycles(waits) {
		if len(c.Names) > 1 { // that one waits for itself was found already
			r.found(Warning, "", "has services that wait for each other: %v; the waits that are left out are %s", c, c.cuts())
		}
	}
}

// others are the names of those that a service waits for.
func (r *RootExamination) others(x *Examination, taken map[ID]string) []string {
	names := x.Definition.After
	dir, ok := x.Definition.Trigger.Service()
	if !ok {
		return names
	}
	suffix := ""
	id, _, err := Identify(dir)
	name := taken[id]
	if name == "" && filepath.Base(dir) == "log" { // a logger may be waited for, too
		id, _, err = Identify(filepath.Dir(dir))
		name, suffix = taken[id], "/log"
	}
	if err != nil || name == "" {
		return names
	}
	return append(names[:len(names):len(names)], name+suffix)
}

// cuts lists what is ignored: "a for b, b for c".
func (c Cycle) cuts() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(c.Ignored)) {
		for _, next := range c.Ignored[name] {
			list = append(list, fmt.Sprintf("%s for %s", name, next))
		}
	}
	return strings.Join(list, ", ")
}
