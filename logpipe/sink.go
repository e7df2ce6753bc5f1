package logpipe

const (
	// sharedBuffer makes writes of a size at which their number costs nothing; ownBuffer is for scripts
	// of which there may be many directories.
	sharedBuffer = 128 << 10
	ownBuffer    = 16 << 10
)

var newline = [...]byte{'\n'}

// A sink collects what goes to some directories until there is enough of it to be written.
type sink struct {
	buf         []byte
	directories []*directory
	selected    bool // the current line goes here
}

func newSink(size int, directories ...*directory) *sink {
	return &sink{buf: make([]byte, 0, size), directories: directories, selected: true}
}

func (s *sink) put(part []byte) {
	if len(s.buf)+len(part) > cap(s.buf) {
		s.flush()
		if len(part) > cap(s.buf)/2 {
			s.write(part)
			return
		}
	}
	s.buf = append(s.buf, part...)
}

func (s *sink) flush() {
	s.write(s.buf)
	s.buf = s.buf[:0]
}

func (s *sink) write(block []byte) {
	for _, d := range s.directories {
		d.write(block)
	}
}
