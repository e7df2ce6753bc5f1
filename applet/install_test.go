package applet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestErrorsNameThePathOnce(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	_, err := os.Stat(missing)
	if text := withoutPath(err).Error(); strings.Contains(text, missing) {
		t.Errorf("%s", text)
	}
	problems := makeLinks(missing, ".")
	if len(problems) != 1 || strings.Count(problems[0].Error(), missing) != 1 {
		t.Errorf("a program that is gone: %v", problems)
	}
}
