package fsstate

import (
	"path/filepath"
	"strings"
)

// SuperviseName returns the name of a service's supervise directory as seen from the service's working
// directory cwd, which is what getcwd(2) says: "supervise", a relative path or an absolute one. It is
// the path that messages show.
//
// The rule is daemontools-encore's. The variable SUPERVISEDIR replaces the name "supervise"; if it is
// absolute, the service's directory follows at once with every slash but its first turned into a colon:
// /run/sv and /etc/svc/a give /run/sv/etc:svc:a. Only that last component is ever created. An empty
// variable counts as unset; encore would put the files into the root directory.
func SuperviseName(getenv func(string) string, cwd string) string {
	base := getenv("SUPERVISEDIR")
	switch {
	case base == "":
		return "supervise"
	case !filepath.IsAbs(base) || cwd == "":
		return base
	}
	return base + cwd[:1] + strings.ReplaceAll(cwd[1:], "/", ":")
}

// SuperviseDir returns the path of a service's supervise directory: SuperviseName, made absolute.
func SuperviseDir(getenv func(string) string, cwd string) string {
	name := SuperviseName(getenv, cwd)
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(cwd, name)
}
