package applet

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"upkeep/fsstate"
)

const checkUsage = "check: usage: upkeep check [--json] dir [dir ...]"

// exitFound is what check exits with where it has found something.
const exitFound = 1

// check says of service directories, and of roots of them, what the daemon would do with each and what is
// wrong, a line each, as docs/check.md describes. It exits with 0 if nothing is wrong, 1 if something is.
func check(c *call) int {
	asJSON := c.takeOption("--json")
	g := &getopt{prog: c.argv0, args: c.args, stderr: c.stderr}
	if _, _, more := g.next(); more || len(g.args) == 0 {
		return c.usage(checkUsage)
	}
	var list []*checked
	for _, dir := range g.args {
		list = append(list, checkDir(dir)...)
	}
	out := bufio.NewWriter(c.stdout)
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		enc.Encode(list)
	} else {
		for _, d := range list {
			d.write(out)
		}
	}
	if err := out.Flush(); err != nil {
		return c.fatal("check", "unable to write the output", err)
	}
	if slices.ContainsFunc(list, (*checked).wrong) {
		return exitFound
	}
	return exitOK
}

// checked is what is said of one directory, as docs/check.md describes it.
type checked struct {
	Path     string    `json:"path"`
	Kind     string    `json:"kind"`
	Dialect  *string   `json:"dialect"`
	Reason   *string   `json:"reason"`
	Does     []string  `json:"does"`
	Findings []finding `json:"findings"`
}

type finding struct {
	Severity string  `json:"severity"`
	File     *string `json:"file"`
	Text     string  `json:"text"`
}

// checkDir checks a service directory with its logger, or a root with its services.
func checkDir(dir string) []*checked {
	if fsstate.IsService(dir) {
		x, err := fsstate.Examine(dir, serviceName(dir))
		if err != nil {
			return []*checked{unchecked(dir, err)}
		}
		return checkService(x)
	}
	r, err := fsstate.ExamineRoot(dir)
	if err != nil {
		return []*checked{unchecked(dir, err)}
	}
	root := &checked{Path: dir, Kind: "root", Does: []string{rootDoes(r)}}
	root.found(r.Findings)
	list := []*checked{root}
	for _, x := range r.Services {
		list = append(list, checkService(x)...)
	}
	return list
}

// serviceName is what the daemon would call the service in dir.
func serviceName(dir string) string {
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	return filepath.Base(dir)
}

func unchecked(dir string, err error) *checked {
	text := err.Error()
	if err != fsstate.ErrNoDirectory {
		text = "cannot be read: " + errText(err)
	}
	return &checked{Path: dir, Kind: "nothing", Does: []string{}, Findings: []finding{{fsstate.Fault.String(), nil, text}}}
}

func checkService(x *fsstate.Examination) []*checked {
	d := &checked{
		Path: x.Path, Kind: "service",
		Dialect: new(x.Definition.Dialect.String()), Reason: new(x.Definition.Reason()), Does: does(x),
	}
	d.found(x.Findings)
	list := []*checked{d}
	if x.Log != nil {
		list = append(list, checkService(x.Log)...)
	}
	return list
}

func (d *checked) found(list []fsstate.Finding) {
	d.Findings = []finding{}
	for _, f := range list {
		d.Findings = append(d.Findings, finding{f.Severity.String(), some(f.File), f.Text})
	}
}

// wrong tells whether something is that should be put right.
func (d *checked) wrong() bool {
	return slices.ContainsFunc(d.Findings, func(f finding) bool { return f.Severity != fsstate.Note.String() })
}

func (d *checked) write(out io.Writer) {
	line := func(format string, args ...any) {
		fmt.Fprintf(out, "%s: %s\n", printable(d.Path), printable(fmt.Sprintf(format, args...)))
	}
	if d.Dialect != nil {
		line("is a service directory of %s: %s", *d.Dialect, *d.Reason)
	}
	for _, text := range d.Does {
		line("%s", text)
	}
	for _, f := range d.Findings {
		if f.File != nil {
			line("%s: %s %s", f.Severity, *f.File, f.Text)
		} else {
			line("%s: %s", f.Severity, f.Text)
		}
	}
}
