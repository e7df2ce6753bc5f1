package logpipe

const (
	// blockSize is the most that is read at once. The size of what is written follows from it, and the larger
	// that is, the less the kernel has to do for each page.
	blockSize = 112 << 10
	// stampRoom is for the stamps of a block of ordinary lines, see Log.space.
	stampRoom = 32 << 10
	// ownBuffer is for scripts of which there may be many directories.
	ownBuffer = 16 << 10
)

var newline = [...]byte{'\n'}

// A sink collects what goes to some directories until there is enough of it to be written.
type sink struct {
	buf         []byte
	limit       int // of the length of buf
	directories []*directory
	selected    bool // the current line goes here
}

func newSink(space []byte, directories ...*directory) *sink {
	return &sink{buf: space[:0], limit: len(space), directories: directories, selected: true}
}

func (s *sink) put(part []byte) {
	if len(s.buf)+len(part) > s.limit {
		s.flush()
		if len(part) > s.limit/2 {
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
