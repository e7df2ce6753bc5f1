package applet

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestShowTail(t *testing.T) {
	for _, c := range []struct {
		dots  int
		input string
		want  string
	}{
		{20, "fatal error xyz\nwarning\x00 abc\n", " xyz\nwarning abc\n"},
		{5, "x", ".x"},
		{5, "", ".."},
		{8, "abcde", "abcde"},
		{8, "abcdefgh", "defgh"},
		{8, "\x00\x00\x00", "....."},
	} {
		for _, chunk := range []func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
		} {
			window := bytes.Repeat([]byte("."), c.dots-3)
			if code := showTail(chunk(bytes.NewBufferString(c.input)), window); code != 0 {
				t.Errorf("%q: exit code %d", c.input, code)
			}
			if string(window) != c.want {
				t.Errorf("%q into %d dots: %q, want %q", c.input, c.dots, window, c.want)
			}
		}
	}
	if code := showTail(iotest.ErrReader(errors.New("broken")), make([]byte, 5)); code != 111 {
		t.Errorf("read error: exit code %d", code)
	}
}
