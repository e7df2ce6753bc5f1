package fsstate

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Register is the file HomeServices: what is supervised, and some of what was, whether its entry is there or not. A
// line is a name and the path without symbolic links, both quoted as Go quotes strings; the last one of a path
// counts. The Register of no Home keeps nothing. It may be used on any goroutine.
type Register struct {
	home   *Home
	mu     sync.Mutex
	length atomic.Int64
}

// Register is that of the Home, which is to have only one.
func (h *Home) Register() *Register { return &Register{home: h} }

// A Registered is a service that is or was supervised.
type Registered struct{ Name, Path string }

func (s Registered) append(b []byte) []byte { return fmt.Appendf(b, "%q %q\n", s.Name, s.Path) }

// Length is how long the file was when it was last read or written by this process.
func (r *Register) Length() int64 { return r.length.Load() }

// Read returns what is in the file, without what cannot be understood.
func (r *Register) Read() (list []Registered, err error) {
	if r.home == nil {
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	text, err := r.from(0)
	r.length.Store(int64(len(text)))
	for line := range strings.Lines(string(text)) {
		if s, ok := parseRegistered(line); ok {
			list = append(list, s)
		}
	}
	return list, err
}

func parseRegistered(line string) (s Registered, ok bool) {
	quoted, err := strconv.QuotedPrefix(line)
	if err != nil {
		return s, false
	}
	rest := strings.TrimSpace(line[len(quoted):])
	s.Name, _ = strconv.Unquote(quoted)
	s.Path, err = strconv.Unquote(rest)
	return s, err == nil && filepath.IsAbs(s.Path)
}

// from returns what is in the file from an offset on.
func (r *Register) from(offset int64) ([]byte, error) {
	fd, err := open(r.path(), unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err == unix.ENOENT {
		return nil, nil
	}
	if err != nil {
		return nil, &OpError{"open", r.path(), err}
	}
	f := os.NewFile(uintptr(fd), r.path())
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, offset, 1<<62))
	if err != nil {
		return nil, &OpError{"read", r.path(), errnoOf(err)}
	}
	return text, nil
}

func (r *Register) path() string { return filepath.Join(r.home.path, HomeServices) }

// Add adds a service. Nothing is added in part.
func (r *Register) Add(s Registered) error {
	if r.home == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fd, err := open(r.path(), unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return &OpError{"open", r.path(), err}
	}
	defer unix.Close(fd)
	end, err := unix.Seek(fd, 0, unix.SEEK_END)
	if err != nil {
		return &OpError{"write", r.path(), err}
	}
	line := s.append(nil)
	if end > 0 && r.length.Load() == 0 { // whoever wrote the last line may have been killed in it
		line = append([]byte("\n"), line...)
	}
	n, err := unix.Write(fd, line)
	if err == nil && n < len(line) {
		err = unix.ENOSPC
	}
	if err != nil {
		unix.Ftruncate(fd, end)
		return &OpError{"write", r.path(), err}
	}
	r.length.Store(end + int64(n))
	return nil
}

// Shorten puts a list in the place of what the file held when it was length long. What was added since is kept.
func (r *Register) Shorten(list []Registered, length int64) error {
	if r.home == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	since, err := r.from(length)
	if err != nil {
		return err
	}
	var text []byte
	for _, s := range list {
		text = s.append(text)
	}
	text = append(text, since...)
	if err := r.home.Write(HomeServices, text); err != nil {
		return err
	}
	r.length.Store(int64(len(text)))
	return nil
}
