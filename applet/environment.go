package applet

import (
	"os"
	"strings"
)

// environ returns the environment as we were given it. That of package os lacks what has the name of an
// entry before it, which the family hands on; it must do where there is no /proc.
func environ() []string {
	b, found, err := readAll("/proc/self/environ")
	if err != nil || !found {
		return os.Environ()
	}
	if len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// getenv returns the value of the first entry of that name.
func getenv(env []string, name string) (value string, set bool) {
	for _, entry := range env {
		if rest, ok := strings.CutPrefix(entry, name); ok && strings.HasPrefix(rest, "=") {
			return rest[1:], true
		}
	}
	return "", false
}

// changed returns a copy of env with changes applied in order: NAME=VALUE sets a variable, NAME removes it.
// As in the family, of several entries with one name a change replaces the first, the last entry of all
// takes the place of one that is removed, and a new one is appended: what reads the environment later may
// depend on its order.
func changed(env, changes []string) []string {
	env = append(make([]string, 0, len(env)+len(changes)), env...)
	for _, change := range changes {
		name, _, set := strings.Cut(change, "=")
		for i, entry := range env {
			if strings.HasPrefix(entry, name) && strings.HasPrefix(entry[len(name):], "=") {
				last := len(env) - 1
				env[i] = env[last]
				env = env[:last]
				break
			}
		}
		if set {
			env = append(env, change)
		}
	}
	return env
}
