package tai64

import "bytes"

// A Replacer copies lines and puts something else in the place of the label that a line begins with.
//
// A label is read as tai64nlocal does: after "@" all lowercase hexadecimal digits that follow, of which the
// last 24 count. It ends with the byte after them. What is no label is copied unchanged.
type Replacer struct {
	// Format appends what stands for a label. It returns false for a label that makes no sense, which
	// is copied then; dst may have been appended to.
	Format func(dst []byte, l Label) ([]byte, bool)

	at    place
	label Label
	text  []byte // of the label so far
}

// A place is where in a line the next byte is.
type place byte

const (
	lineStart place = iota
	inLabel
	inLine
)

// maxText bounds what is held back of a label whose digits don't end. None of them is a label.
const maxText = 1024

// Append appends to dst what src becomes. src may end anywhere: all is appended at once, except a label
// whose end has not been seen.
func (r *Replacer) Append(dst, src []byte) []byte {
	for len(src) > 0 {
		switch r.at {
		case lineStart:
			if src[0] != '@' {
				r.at = inLine
				continue
			}
			r.at, r.label, r.text = inLabel, Label{}, append(r.text[:0], '@')
			src = src[1:]
		case inLabel:
			digit, ok := hexDigit(src[0])
			switch {
			case !ok:
				dst, r.at = r.Flush(dst), inLine
			case len(r.text) == maxText:
				dst, r.at = append(dst, r.text...), inLine
			default:
				r.text = append(r.text, src[0])
				r.label.Sec = r.label.Sec<<4 | uint64(r.label.Nano>>28)
				r.label.Nano = r.label.Nano<<4 | digit
				src = src[1:]
			}
		case inLine:
			end := bytes.IndexByte(src, '\n')
			if end < 0 {
				return append(dst, src...)
			}
			dst, src, r.at = append(dst, src[:end+1]...), src[end+1:], lineStart
		}
	}
	return dst
}

// Flush appends what stands for a label whose end is the end of all input.
func (r *Replacer) Flush(dst []byte) []byte {
	if r.at != inLabel {
		return dst
	}
	r.at = inLine
	if len(r.text) > 1 {
		if out, ok := r.Format(dst, r.label); ok {
			return out
		}
	}
	return append(dst, r.text...)
}

func hexDigit(c byte) (value uint32, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return uint32(c - '0'), true
	case 'a' <= c && c <= 'f':
		return uint32(c-'a') + 10, true
	}
	return 0, false
}

// Unix returns the seconds of the label since 1970-01-01 00:00:00 UTC.
func (l Label) Unix() int64 { return int64(l.Sec - epoch) }

// AppendText appends the text form of the label.
func (l Label) AppendText(dst []byte) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '@')
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[l.Sec>>shift&15])
	}
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, digits[l.Nano>>shift&15])
	}
	return dst
}
