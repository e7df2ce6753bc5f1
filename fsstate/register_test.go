package fsstate_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
)

func register(t *testing.T, dir string) (r *fsstate.Register, path string) {
	t.Helper()
	home, err := fsstate.LockHome(filepath.Join(dir, ".upkeep"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(home.Close)
	return home.Register(), filepath.Join(dir, ".upkeep", fsstate.HomeServices)
}

func registered(t *testing.T, r *fsstate.Register, want ...fsstate.Registered) {
	t.Helper()
	if list, err := r.Read(); err != nil || !slices.Equal(list, want) {
		t.Errorf("read %v, %v; want %v", list, err, want)
	}
}

func TestRegister(t *testing.T) {
	r, path := register(t, t.TempDir())
	registered(t, r)
	a, b, c := fsstate.Registered{"a", "/x/a"}, fsstate.Registered{"b\n\xff \"", "/x/b\n\xff \""}, fsstate.Registered{"c", "/x/c"}
	for _, s := range []fsstate.Registered{a, b} {
		if err := r.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	registered(t, r, a, b)
	before := r.Length()
	if err := r.Add(c); err != nil {
		t.Fatal(err)
	}
	if err := r.Shorten([]fsstate.Registered{b}, before); err != nil {
		t.Fatal(err)
	}
	registered(t, r, b, c)
	if st, err := os.Stat(path); err != nil || st.Size() != r.Length() {
		t.Errorf("length %d, %v of %v", r.Length(), err, st.Size())
	}
	for _, line := range []string{"garbage\n", `"half`, "\n", `"d" "not/absolute"` + "\n", `"d" /x/d` + "\n"} {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(line)
		f.Close()
	}
	registered(t, r, b, c)
	none := (*fsstate.Home)(nil).Register()
	if err := errors.Join(none.Add(a), none.Shorten(nil, 0)); err != nil {
		t.Error(err)
	}
	registered(t, none)
}

// TestRegisterCut: a line that was cut, since who wrote it was killed, takes no other along.
func TestRegisterCut(t *testing.T) {
	r, path := register(t, t.TempDir())
	if err := os.WriteFile(path, []byte(`"a" "/x/a"`+"\n"+`"b" "/x`), 0o644); err != nil {
		t.Fatal(err)
	}
	c := fsstate.Registered{Name: "c", Path: "/x/c"}
	if err := r.Add(c); err != nil {
		t.Fatal(err)
	}
	registered(t, r, fsstate.Registered{Name: "a", Path: "/x/a"}, c)
}

// TestRegisterAtOnce: what is added while the list is shortened is in it.
func TestRegisterAtOnce(t *testing.T) {
	r, _ := register(t, t.TempDir())
	const each = 200
	var all sync.WaitGroup
	for who := range 4 {
		all.Go(func() {
			for i := range each {
				if err := r.Add(fsstate.Registered{Name: fmt.Sprint(who), Path: fmt.Sprintf("/%d", i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		if err := r.Shorten(nil, 0); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	if list, err := r.Read(); err != nil || len(list) != 4*each {
		t.Errorf("%d of %d, %v", len(list), 4*each, err)
	}
}

// TestRegisterFull: where there is no room nothing is lost, and nothing is there in part.
func TestRegisterFull(t *testing.T) {
	mnt := tmpfs(t, "size=8k")
	r, path := register(t, mnt)
	var list []fsstate.Registered
	for i := 0; ; i++ {
		s := fsstate.Registered{Name: fmt.Sprint(i), Path: "/somewhere/else"}
		err := r.Add(s)
		if errors.Is(err, unix.ENOSPC) && err.Error() == "cannot write "+path+": no space left on device" {
			break
		}
		if err != nil || i > 1000 {
			t.Fatal(i, err)
		}
		list = append(list, s)
	}
	registered(t, r, list...)
	if err := r.Shorten(list[:len(list)-1], r.Length()); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("shortened on a full disk: %v", err)
	}
	registered(t, r, list...)
}

func TestRegisterFails(t *testing.T) {
	for what, spoil := range map[string]func(path string) error{
		"directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"fifo":      func(path string) error { return unix.Mkfifo(path, 0o600) },
	} {
		t.Run(what, func(t *testing.T) {
			r, path := register(t, t.TempDir())
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			if list, err := r.Read(); err == nil || len(list) > 0 {
				t.Errorf("read %v, %v", list, err)
			}
			if err := r.Add(fsstate.Registered{Name: "a", Path: "/a"}); err == nil {
				t.Error("added")
			}
		})
	}
}
