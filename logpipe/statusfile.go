package logpipe

import "golang.org/x/sys/unix"

// A statusFile shows the last line that was selected for it. Its first 1001 bytes are always those of one
// line, the rest of them newlines, and are written with one write, so that a reader needs no lock.
type statusFile struct {
	env  *Environment
	path string
	fd   int
	text []byte
}

func openStatusFile(env *Environment, path string) (*statusFile, error) {
	f := &statusFile{env: env, path: path, text: make([]byte, lineHead+1)}
	made, err := openAt(env.Start, path, appending, 0o600)
	if err != nil {
		return nil, &OpenError{"unable to create " + path, err}
	}
	unix.Close(made)
	if f.fd, err = openAt(env.Start, path, writing, 0); err != nil {
		return nil, &OpenError{"unable to write " + path, err}
	}
	return f, nil
}

// reopen goes on with the file of that name; without one, with the file there was.
func (f *statusFile) reopen() {
	if fd, err := openAt(f.env.Start, f.path, appending&^unix.O_APPEND, 0o600); err == nil {
		unix.Close(f.fd)
		f.fd = fd
	}
}

func (f *statusFile) show(line []byte) {
	n := copy(f.text, line)
	for i := n; i < len(f.text); i++ {
		f.text[i] = '\n'
	}
	// Not pwrite: the file may be a device, of which the original moves the offset, too.
	for {
		_, err := unix.Seek(f.fd, 0, unix.SEEK_SET)
		if err == nil {
			break
		}
		f.env.pause("unable to move to beginning of "+f.path, err)
	}
	for {
		_, err := unix.Write(f.fd, f.text)
		if err == nil {
			return
		}
		if err != unix.EINTR {
			f.env.pause("unable to write "+f.path, err)
		}
	}
}
