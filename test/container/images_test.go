package container_test

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// The services of the images, by the files of their directories.
const (
	serve  = "#!/bin/sh\nexec /bin/guest serve ${PWD##*/}\n"
	crash  = "#!/bin/sh\necho crash\n"
	loud   = "#!/bin/sh\ntrap 'echo last words; exit 0' TERM\necho first words\nwhile :; do sleep 0.1; done\n"
	logger = "#!/bin/sh\nwhile read -r line; do echo \"log: $line\"; done\n"
	// litter leaves a process behind that says whose child it has become.
	litter = "#!/bin/sh\n(setsid sh /bin/orphan &)\nexec sleep 1000000\n"
	orphan = `parent() { cat /proc/$(sed -n 's/^PPid:[^0-9]*//p' /proc/$$/status)/comm; }
while :; do
	case $(parent) in run | sh | setsid | '') sleep 0.05 ;; *) break ;; esac
done
echo "orphan of $(parent)"
exec sleep 1000000
`
)

// contexts is the directory of directories from which images are built, made once.
var contexts = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(os.Getenv(stageDir), "images")
	return dir, writeContexts(dir)
})

func writeContexts(dir string) error {
	upkeep := filepath.Join(source(), "bin", "upkeep")
	if bin := os.Getenv("UPKEEP_BIN"); bin != "" {
		upkeep = filepath.Join(bin, "upkeep")
	}
	busybox, err := staticBusybox()
	if err != nil {
		return err
	}
	guest := filepath.Join(dir, "command", "server")
	build := exec.Command("go", "build", "-trimpath", "-o", guest, "./guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./guest: %w: %s", err, out)
	}
	if err := writeAll(dir, map[string]string{
		"Containerfile.shell":          "FROM scratch\nCOPY bin /bin\n",
		"shell/bin/orphan":             orphan,
		"services/services/web/run":    serve,
		"services/services/mail/run":   serve,
		"services/services/crash/run":  crash,
		"services/services/loud/run":   loud,
		"services/services/litter/run": litter,

		"services/services/loud/log/run": logger,
	}); err != nil {
		return err
	}
	for to, from := range map[string]string{
		"upkeep/upkeep":           upkeep,
		"shell/bin/busybox":       busybox,
		"shell/bin/guest":         guest,
		"static/services/web/run": guest,
	} {
		if err := copyFile(filepath.Join(dir, to), from); err != nil {
			return err
		}
	}
	for _, name := range []string{"sh", "sleep", "setsid", "sed", "cat", "grep", "wc", "umount", "true"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "shell", "bin", name)); err != nil {
			return err
		}
	}
	return nil
}

// staticBusybox is the path of a busybox that runs where there is nothing else.
func staticBusybox() (string, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return "", err
	}
	f, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s is not static", path)
		}
	}
	return path, nil
}

// writeAll writes files below dir; one that begins with #! is executable.
func writeAll(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		return err
	}
	return dst.Close()
}
