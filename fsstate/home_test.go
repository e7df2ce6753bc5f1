package fsstate_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
)

func TestLockHome(t *testing.T) {
	umask(t, 0)
	home := filepath.Join(t.TempDir(), "a", ".upkeep")
	if _, err := fsstate.LockHome(home); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{home: 0o700, home + "/lock": 0o600} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, st.Mode(), err, want)
		}
	}
	before := descriptors()
	if _, err := fsstate.LockHome(home); err != fsstate.ErrLocked {
		t.Errorf("a second time: %v", err)
	}
	if got := descriptors(); got != before {
		t.Errorf("%d descriptors before, %d after", before, got)
	}
}

func TestLockHomeFails(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(dir+"/file", nil, 0o644)
	os.MkdirAll(dir+"/home/lock", 0o755)
	for _, test := range []struct {
		home string
		is   error
		want string
	}{
		{dir + "/file", unix.ENOTDIR, "cannot make " + dir + "/file: not a directory"},
		{dir + "/file/below", unix.ENOTDIR, "cannot make " + dir + "/file/below: not a directory"},
		{dir + "/home", unix.EISDIR, "cannot open " + dir + "/home/lock: is a directory"},
	} {
		_, err := fsstate.LockHome(test.home)
		if !errors.Is(err, test.is) || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", test.home, err, test.want)
		}
	}
	mnt := tmpfs(t, "")
	readOnly(t, mnt, true)
	if _, err := fsstate.LockHome(mnt + "/.upkeep"); !errors.Is(err, unix.EROFS) {
		t.Errorf("read-only: %v", err)
	}
}
