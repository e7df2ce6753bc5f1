package fsstate

import "golang.org/x/sys/unix"

// readShort reads a file that is most often short, and never longer than a megabyte.
func readShort(path string) ([]byte, error) {
	fd, err := open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	const usual, most = 512, 1 << 20
	text := make([]byte, 0, usual)
	for {
		n, err := unix.Read(fd, text[len(text):cap(text)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case n == 0:
			return text, nil
		}
		if text = text[:len(text)+n]; len(text) == cap(text) {
			if cap(text) >= most {
				return nil, unix.EFBIG
			}
			text = append(make([]byte, 0, 8*cap(text)), text...)
		}
	}
}
