package vm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"upkeep/test/harness"
)

// cache is where kernels and images stay from one run to the next. It can be removed at any time.
const cache = "cache"

// kernelPackage is the one whose kernel is booted: it has all drivers that QEMU's machine needs built in,
// those of its disk, ext4 and the console among them.
const kernelPackage = "linux-image-cloud-amd64"

// kernel returns the path of a kernel, which is downloaded when the cache has none of that version. Nothing
// is installed.
func kernel(t *testing.T) string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		harness.Skip(t, "no machine is described for %s", runtime.GOARCH)
	}
	harness.Need(t, "qemu-system-x86_64", "busybox", "apt-get", "apt-cache", "dpkg-deb")
	name, version := dependency(t, kernelPackage)
	return cached(t, name+"_"+version, func(dir, file string) {
		fetch := exec.Command("apt-get", "-q", "download", name+"="+version)
		fetch.Dir = dir
		if out, code := harness.RunCmd(t, fetch); code != 0 {
			harness.Skip(t, "cannot download %s: %s", name, out)
		}
		debs, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
		tree := filepath.Join(dir, "tree")
		mustRun(t, "dpkg-deb", "-x", debs[0], tree)
		images, _ := filepath.Glob(filepath.Join(tree, "boot", "vmlinuz-*"))
		if len(images) != 1 {
			t.Fatalf("the kernels of %s are %q", name, images)
		}
		if err := os.Rename(images[0], file); err != nil {
			t.Fatal(err)
		}
	})
}

// dependency returns the package that another one depends on, with its version.
func dependency(t *testing.T, meta string) (name, version string) {
	t.Helper()
	about, code := harness.Run(t, "apt-cache", "show", "--no-all-versions", meta)
	found := regexp.MustCompile(`(?m)^Depends: (\S+) \(= (\S+)\)`).FindStringSubmatch(about)
	if code != 0 || found == nil {
		harness.Skip(t, "apt knows no package %s; apt-get update may be needed", meta)
	}
	return found[1], found[2]
}

// cached returns the path of a file of the cache. If it is not there, make makes it, with a directory
// for its work.
func cached(t *testing.T, name string, make func(dir, file string)) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(cache, strings.ReplaceAll(name, ":", "_")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(cache, "making-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "result")
	make(dir, file)
	if err := os.Rename(file, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustRun(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, code := harness.Run(t, name, args...)
	if code != 0 {
		t.Fatalf("%s %q: exit code %d\n%s", name, args, code, out)
	}
	return out
}
