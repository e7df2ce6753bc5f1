package conformance_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var (
	named     = regexp.MustCompile(`\bdiff\("([a-z-]+)"\)`)
	explained = regexp.MustCompile(`<a id="([a-z-]+)"></a>`)
)

// TestEveryDifferenceIsExplained holds the tables here and docs/compatibility.md together.
func TestEveryDifferenceIsExplained(t *testing.T) {
	const doc = "../../docs/compatibility.md"
	page, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	found := func(re *regexp.Regexp, text []byte, into map[string]bool) {
		for _, m := range re.FindAllSubmatch(text, -1) {
			into[string(m[1])] = true
		}
	}
	inDoc, inTests := map[string]bool{}, map[string]bool{}
	found(explained, page, inDoc)
	sources, _ := filepath.Glob("*_test.go")
	for _, name := range sources {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found(named, source, inTests)
	}
	for key := range inTests {
		if !inDoc[key] {
			t.Errorf("the difference %q isn't explained in %s", key, doc)
		}
	}
	for key := range inDoc {
		if !inTests[key] {
			t.Errorf("no test shows the difference %q that %s explains", key, doc)
		}
	}
}
