package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// The service that every supervisor runs tells its pid through a FIFO as its first action and then
// sleeps. It must itself cost next to nothing, so that what is measured is the supervisor: a static
// program without even a C library, whose own start can take longer than a fork (it asks the processor
// for its caches, which a virtual machine answers slowly).
const tinySource = `#if defined(__x86_64__)
enum { WRITE = 1, OPENAT = 257, GETPID = 39, PPOLL = 271 };
static long sys(long n, long a, long b, long c, long d)
{
	long r;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = 0;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return r;
}
#elif defined(__aarch64__)
enum { WRITE = 64, OPENAT = 56, GETPID = 172, PPOLL = 73 };
static long sys(long n, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = 0;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}
#else
#error no system calls known for this processor
#endif

void _start(void)
{
	char line[16], *p = line + sizeof line;
	long pid = sys(GETPID, 0, 0, 0, 0);
	long fd = sys(OPENAT, -100, (long)FIFO, 1, 0);

	for (*--p = '\n'; pid > 0; pid /= 10) *--p = '0' + pid % 10;
	sys(WRITE, fd, (long)p, line + sizeof line - p, 0);
	for (;;) sys(PPOLL, 0, 0, 0, 0);
}
`

// shSource is the same as a script; its argument is the FIFO.
const shSource = "#!/bin/sh\necho $$ >%s\nexec sleep 1000000\n"

// buildService makes the run program in dir, reporting to fifo, and returns its path and what it is.
func buildService(dir, fifo, kind string) (path, what string, err error) {
	path = filepath.Join(dir, "run")
	cc, ccErr := exec.LookPath("cc")
	if kind == "tiny" && ccErr == nil {
		if err := compile(cc, path, tinySource, fifo, "-nostdlib", "-ffreestanding", "-fno-stack-protector"); err == nil {
			return path, "a static program without a C library that reports its start and sleeps", nil
		}
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, shSource, fifo), 0o755); err != nil {
		return "", "", err
	}
	return path, "a sh script that reports its start and execs sleep", os.Chmod(path, 0o755)
}

// program builds a program of this name, once, and returns its path, or "" where there is nothing to build it with.
func (b *bench) program(name, source string, options ...string) (path string, err error) {
	path = filepath.Join(b.dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		b.notes = append(b.notes, "There is no C compiler here to build "+name+" with.")
		return "", nil
	}
	return path, compile(cc, path, source, b.starts.path, options...)
}

// compile builds a static program that knows the FIFO by that name.
func compile(cc, path, text, fifo string, options ...string) error {
	source := path + ".c"
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(cc, append(options, "-Os", "-static", "-s", "-DFIFO="+strconv.Quote(fifo), "-o", path, source)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return nil
}
