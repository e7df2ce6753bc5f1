package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// defaults is what a limit is that nobody has set.
var defaults = map[string]string{
	"cgroup.max.depth":       "max",
	"cgroup.max.descendants": "max",
	"cpu.idle":               "0",
	"cpu.max":                "max 100000",
	"cpu.max.burst":          "0",
	"cpu.weight":             "100",
	"io.weight":              "default 100",
	"memory.high":            "max",
	"memory.low":             "0",
	"memory.max":             "max",
	"memory.min":             "0",
	"memory.oom.group":       "0",
	"memory.swap.high":       "max",
	"memory.swap.max":        "max",
	"memory.zswap.max":       "max",
	"pids.max":               "max",
}

// Limits makes the group's limits what the files in dir say, the service directory's cgroup directory: each
// is named as an interface file of the group and holds what is written to it. No directory means no limits.
// Called again it writes what has changed, and gives a limit whose file is gone its default value; one that
// has no known default stays until the group is removed.
//
// The group has to be made before. The error names each file whose limit is not in force, with the reason.
func (g *Group) Limits(dir string) error {
	files, errs := readLimits(dir)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		if f.err == nil && !(g.written(name) && g.limits[name] == f.text) {
			if f.err = g.set(name, f.text); f.err == nil {
				g.note(name, f.text)
			}
		}
		if f.err != nil {
			errs = append(errs, fmt.Errorf("%s/%s: %w", filepath.Base(dir), name, f.err))
		}
	}
	for _, name := range g.obsolete() {
		if _, wanted := files[name]; wanted {
			continue
		}
		if err := g.reset(name); err != nil {
			errs = append(errs, fmt.Errorf("%s/%s is gone, but not its limit: %w", filepath.Base(dir), name, err))
			continue
		}
		delete(g.limits, name)
	}
	g.kept = false
	if errs == nil {
		return nil
	}
	return limitErrors(errs)
}

// Unlimited is Limits where there are no groups, and why: it names each limit in dir, which cannot be in force.
func Unlimited(dir string, why error) error {
	files, errs := readLimits(dir)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		errs = append(errs, fmt.Errorf("%s/%s: there are no cgroups here: %w", filepath.Base(dir), name, why))
	}
	if errs == nil {
		return nil
	}
	return limitErrors(errs)
}

// limitErrors are errors in one line.
type limitErrors []error

func (e limitErrors) Unwrap() []error { return e }

func (e limitErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (g *Group) written(name string) bool {
	_, ok := g.limits[name]
	return ok
}

func (g *Group) note(name, text string) {
	if g.limits == nil {
		g.limits = make(map[string]string)
	}
	g.limits[name] = text
}

// obsolete lists the limits that may be in force, in an order that does not change.
func (g *Group) obsolete() []string {
	if g.kept {
		// An earlier upkeep has written who knows what.
		return slices.Sorted(maps.Keys(defaults))
	}
	return slices.Sorted(maps.Keys(g.limits))
}

// reset gives a limit its default value, where the group has that limit.
func (g *Group) reset(name string) error {
	text, known := defaults[name]
	if !known {
		return nil
	}
	err := writeFile(filepath.Join(g.leaf, name), text)
	if !gone(err) {
		return bare(err)
	}
	controller, _, _ := strings.Cut(name, ".")
	if v1Has(name) {
		if dir, ok := g.v1dir(controller); ok && exists(dir) {
			return setV1(dir, name, text)
		}
	}
	return nil
}

// set writes a limit to the leaf, or to its like in a v1 hierarchy.
func (g *Group) set(name, text string) error {
	controller, _, _ := strings.Cut(name, ".")
	if controller != "cgroup" {
		err := g.tree.enable(controller)
		if err == errNoController && v1Has(name) {
			if dir, ok := g.v1dir(controller); ok {
				if err := g.makeV1(controller, dir); err != nil {
					return err
				}
				return refusal(text, setV1(dir, name, text))
			}
		}
		if err == nil {
			err = turnOn(g.parent(), controller)
		}
		if err != nil {
			return fmt.Errorf("the %s controller: %w", controller, err)
		}
	}
	// io.max takes a device at a time.
	for line := range strings.SplitSeq(text, "\n") {
		if err := writeFile(filepath.Join(g.leaf, name), line); err != nil {
			return refusal(line, err)
		}
	}
	return nil
}

// refusal words the error of writing text to a limit.
func refusal(text string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT):
		return errors.New("the kernel has no such limit")
	}
	return fmt.Errorf("%q is not accepted: %w", text, bare(err))
}

// bare takes off the path of a group, which says less than the name of the file that it is about.
func bare(err error) error {
	var op *OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// A limitFile is a file in the cgroup directory of a service: what it holds, or what is wrong with it.
type limitFile struct {
	text string
	err  error
}

// readLimits reads the cgroup directory of a service.
func readLimits(dir string) (files map[string]limitFile, errs []error) {
	fd, err := open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err == unix.ENOENT {
		return nil, nil
	}
	if err != nil {
		return nil, []error{&OpError{"open", dir, err}}
	}
	list := os.NewFile(uintptr(fd), dir)
	defer list.Close()
	entries, err := list.ReadDir(-1)
	if err != nil {
		errs = append(errs, err)
	}
	files = make(map[string]limitFile, len(entries))
	for _, e := range entries {
		name := e.Name()
		if leftover(name) {
			continue
		}
		var f limitFile
		if f.err = acceptable(name); f.err == nil {
			f.text, f.err = readLimit(filepath.Join(dir, name))
		}
		if f.err == unix.ENOENT {
			if e.Type() != os.ModeSymlink {
				continue // it was there a moment ago
			}
			f.err = errors.New("points nowhere")
		}
		files[name] = f
	}
	return files, errs
}

// leftover tells whether an editor or a person has put a file aside.
func leftover(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#") || strings.HasSuffix(name, "~")
}

// acceptable tells why a file is not one that a service may have written for it.
func acceptable(name string) error {
	controller, rest, _ := strings.Cut(name, ".")
	if rest == "" || strings.Trim(controller, "abcdefghijklmnopqrstuvwxyz_") != "" || controller == "" {
		return errors.New("is not the name of a limit")
	}
	if controller == "cgroup" {
		switch rest {
		case "max.depth", "max.descendants", "pressure":
		default:
			return errors.New("is not a limit; upkeep alone writes to it")
		}
	}
	return nil
}

// readLimit returns what a file holds, without the newline at its end.
func readLimit(path string) (string, error) {
	// The file may be a FIFO.
	fd, err := open(path, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := ignoreEINTR(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", errors.New("is not a regular file")
	}
	const most = 4096 // the kernel takes no more
	buf := make([]byte, most+1)
	n := 0
	for n < len(buf) {
		m, err := read(fd, buf[n:])
		if err != nil {
			return "", err
		}
		if m == 0 {
			break
		}
		n += m
	}
	text := strings.TrimSpace(string(buf[:n]))
	switch {
	case n > most:
		return "", errors.New("is too long")
	case text == "":
		return "", errors.New("is empty")
	case strings.Contains(text, "\x00"):
		return "", errors.New("holds a zero byte") // the kernel would not see what follows
	}
	return text, nil
}
