package fsstate

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// An Outline is what a service directory looks like before it is taken up.
type Outline struct {
	Path     string // without symbolic links
	Runnable bool   // run can be executed
	Logged   bool   // it has a logger
	Program  bool   // that is the program log in the directory itself, as in daemontools-encore
}

// Sketch looks at the service directory at path.
func Sketch(path string) (o Outline, err error) {
	fd, err := open(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return o, err
	}
	defer unix.Close(fd)
	if o.Path, err = realPath(fd, path); err != nil {
		return o, err
	}
	o.Runnable = unix.Faccessat(fd, "run", unix.X_OK, 0) == nil
	var st unix.Stat_t
	switch err = ignoreEINTR(func() error { return unix.Fstatat(fd, "log", &st, 0) }); {
	case err == unix.ENOENT, err == unix.EACCES: // then taking it up fails too, and says so
		err = nil
	case err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR:
		o.Logged = true
	case err == nil && unix.Faccessat(fd, "log", unix.X_OK, 0) == nil:
		def, _ := Read(path) // of which taking it up says what is wrong
		o.Logged, o.Program = def.Log, def.Log
	}
	return o, err
}

// HasLog tells whether the service directory at path has a log directory beside it. As in
// daemontools-encore only a directory counts: a file of that name belongs to another way of logging.
func HasLog(path string) (bool, error) {
	_, isDir, err := Identify(filepath.Join(path, "log"))
	if err == unix.ENOENT {
		return false, nil
	}
	return isDir, err
}
