package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine describes where was measured, and when.
func machine() string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s of %s, Linux %s, %s, on %s", count(runtime.NumCPU(), "core"), processor(),
		strings.TrimSpace(string(kernel)), runtime.GOARCH, time.Now().Format(time.DateOnly))
}

// processor is the name of the first one's model, where the kernel tells it.
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return "an unnamed processor"
}

// versions tells the peers' versions as the package manager knows them.
func versions(of []peer) string {
	var all []string
	for _, p := range of {
		if p.name == ours {
			all = append(all, "upkeep built with "+runtime.Version())
			continue
		}
		out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", p.pkg).Output()
		version := strings.TrimSpace(string(out))
		if err != nil || version == "" {
			version = "of unknown version"
		}
		all = append(all, p.name+" "+version)
	}
	return strings.Join(all, ", ")
}
