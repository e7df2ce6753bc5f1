// Package man_test holds the manual pages, the help of the program and its list of commands together.
package man_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"upkeep/test/harness"
)

const (
	top    = "../.."
	manDir = top + "/docs/man"
)

// commands are those that the Makefile makes links for, and the program itself.
func commands(t *testing.T) []string {
	t.Helper()
	makefile, err := os.ReadFile(top + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(makefile), "\\\n", " ")
	list := regexp.MustCompile(`(?m)^COMMANDS *:?= *(.*)$`).FindStringSubmatch(text)
	if list == nil {
		t.Fatal("the Makefile has no COMMANDS")
	}
	names := append(strings.Fields(list[1]), "upkeep")
	slices.Sort(names)
	return names
}

// pages reads all manual pages, by name.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(manDir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	list := make(map[string]string)
	for _, f := range files {
		name, ok := strings.CutSuffix(filepath.Base(f), ".8")
		if !ok {
			t.Errorf("%s is not of section 8", f)
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		list[name] = string(text)
	}
	return list
}

func TestEachCommandHasAPage(t *testing.T) {
	have := pages(t)
	names := commands(t)
	for _, name := range names {
		if _, ok := have[name]; !ok {
			t.Errorf("there is no docs/man/%s.8", name)
		}
	}
	for name := range have {
		if !slices.Contains(names, name) {
			t.Errorf("docs/man/%s.8 is about no command of the Makefile", name)
		}
	}
}

func TestPagesAreWhole(t *testing.T) {
	have := pages(t)
	for name, text := range have {
		for _, line := range []string{
			".Dt " + strings.ToUpper(name) + " 8",
			".Nm " + name,
			".Sh SYNOPSIS", ".Sh DESCRIPTION", ".Sh EXIT STATUS", ".Sh EXAMPLES", ".Sh SEE ALSO",
		} {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%s.8 has no line %q", name, line)
			}
		}
		for _, ref := range regexp.MustCompile(`(?m)^\.Xr (\S+) 8`).FindAllStringSubmatch(text, -1) {
			if _, ok := have[ref[1]]; !ok || ref[1] == name {
				t.Errorf("%s.8 refers to %s(8)", name, ref[1])
			}
		}
	}
}

// TestPagesAreClean: what mandoc has to say of style is heeded, too, but for references to pages of other
// packages: whether these are installed is not our business.
func TestPagesAreClean(t *testing.T) {
	mandoc := harness.Need(t, "mandoc")[0]
	files, err := filepath.Glob(manDir + "/*.8")
	if err != nil || len(files) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, level := range []string{"warning", "style"} {
		out, _ := exec.Command(mandoc, append([]string{"-T", "lint", "-W", level}, files...)...).Output()
		for line := range strings.Lines(string(out)) {
			if level == "warning" || !strings.Contains(line, "referenced manual not found") {
				t.Errorf("mandoc -W %s: %s", level, line)
			}
		}
	}
}

// about is the one line that a page says of its command.
func about(text string) string {
	found := regexp.MustCompile(`(?m)^\.Nd (.*)$`).FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	return found[1]
}

func TestHelpListsThePages(t *testing.T) {
	upkeep := harness.Bin(t, "upkeep")
	list, code := harness.Run(t, upkeep, "help")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, list)
	}
	have := pages(t)
	var names []string
	for line := range strings.Lines(list) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(line, "upkeep ") && !strings.HasPrefix(line, "upkeep  ") { // no command with a link
			continue
		}
		names = append(names, name)
		if want := about(have[name]); strings.TrimSpace(rest) != want {
			t.Errorf("help says of %s %q, its page %q", name, strings.TrimSpace(rest), want)
		}
	}
	if want := commands(t); !slices.Equal(names, want) {
		t.Errorf("help lists %q, want %q", names, want)
	}
}

// TestHelpAgreesWithThePages: every option of the one is in the other.
func TestHelpAgreesWithThePages(t *testing.T) {
	upkeep := harness.Bin(t, "upkeep")
	option := regexp.MustCompile(`(?m)^  --?([^ ][^ =]*)`)
	item := regexp.MustCompile(`(?m)^\.It Fl (?:-)?(\S+)`)
	for name, text := range pages(t) {
		out, code := harness.Run(t, upkeep, "help", name)
		if code != 0 || !strings.HasPrefix(out, "usage: "+name) || !strings.Contains(out, "\n"+name+": "+about(text)+"\n") {
			t.Errorf("help %s: exit code %d\n%s", name, code, out)
		}
		if name == "multilog" { // its actions are no options
			continue
		}
		var inHelp, inPage []string
		for _, m := range option.FindAllStringSubmatch(out, -1) {
			inHelp = append(inHelp, m[1])
		}
		for _, m := range item.FindAllStringSubmatch(text, -1) {
			inPage = append(inPage, m[1])
		}
		slices.Sort(inHelp)
		slices.Sort(inPage)
		if !slices.Equal(inHelp, inPage) {
			t.Errorf("%s: help has the options %q, the page %q", name, inHelp, inPage)
		}
	}
}

// TestHelpAnswers: what was asked for goes to standard output, what was wrong to standard error.
func TestHelpAnswers(t *testing.T) {
	upkeep := harness.Bin(t, "upkeep")
	for _, c := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"help", "svok"}, 0, "usage: svok dir\nsvok: tell whether a service is supervised\n", ""},
		{[]string{"help", "install"}, 0,
			"usage: upkeep install DIR\nupkeep install: make a link for each command in a directory\n", ""},
		{[]string{"svscan", "--help"}, 0,
			"usage: svscan [option ...] [root] [-- command [arg ...]]\nsvscan: supervise every service below a directory, in place of daemontools' svscan\n" +
				"upkeep help lists all commands, upkeep help NAME shows how one is used\n", ""},
		{[]string{"help", "nonsense"}, 100, "", "upkeep: fatal: there is no command nonsense; upkeep help lists them\n"},
		{[]string{"help", ""}, 100, "", "upkeep: fatal: there is no command ; upkeep help lists them\n"},
		{[]string{"help", "svc", "svok"}, 100, "", "upkeep: usage: upkeep help [NAME]\n"},
	} {
		var stdout, stderr strings.Builder
		cmd := exec.Command(upkeep, c.args...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != c.code || stdout.String() != c.stdout || stderr.String() != c.stderr {
			t.Errorf("upkeep %q: exit code %d, %q and %q; want %d, %q and %q",
				c.args, code, stdout.String(), stderr.String(), c.code, c.stdout, c.stderr)
		}
	}
}

// TestHelpOption: --help says what help says, and more, and is no wrong usage; what is gets the usage line.
func TestHelpOption(t *testing.T) {
	upkeep := harness.Bin(t, "upkeep")
	want, _ := harness.Run(t, upkeep, "help", "upkeep")
	for _, option := range []string{"--help", "-h"} {
		cmd := exec.Command(upkeep, option)
		stdout, err := cmd.Output() // not what is on standard error
		if err != nil || !strings.HasPrefix(string(stdout), want) || !strings.Contains(string(stdout), "upkeep help NAME") {
			t.Errorf("%s: %v, %q", option, err, stdout)
		}
	}
	cmd := exec.Command(upkeep, "--nonsense")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, _ := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != 100 || len(stdout) > 0 || !strings.Contains(stderr.String(), "\nupkeep: usage: upkeep [") {
		t.Errorf("exit code %d, %q and %q", code, stdout, stderr.String())
	}
}

func TestHelpThatCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		harness.Skip(t, "%v", err)
	}
	defer full.Close()
	cmd := exec.Command(harness.Bin(t, "upkeep"), "help")
	cmd.Stdout = full
	cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 111 {
		t.Errorf("exit code %d, want 111", code)
	}
}
