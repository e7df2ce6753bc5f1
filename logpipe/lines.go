package logpipe

import "bytes"

// input puts on file what was taken so far, and returns where the next bytes have their place.
func (l *Log) input() []byte {
	l.flush()
	return l.space[l.ahead:]
}

// take takes the first n bytes of what input has returned. All lines that start in them get the same stamp:
// they were all there when they were read.
func (l *Log) take(n int) {
	l.stamp = l.script.stamp.append(l.stamp[:0], l.arrived())
	end := l.ahead + n
	for block := l.space[l.ahead:end]; len(block) > 0; {
		if l.plain {
			l.sinks[0].limit = end - len(block)
		}
		switch {
		case l.longer:
			block = l.continueLine(block)
		case l.plain && len(l.head) == 0:
			block = l.copyLines(block)
			if len(block) > 0 {
				block = l.startLine(block)
			}
		default:
			block = l.startLine(block)
		}
	}
}

// copyLines puts whole lines on file, and returns what follows the last of them. It is the short way
// through a script that selects nothing.
func (l *Log) copyLines(block []byte) []byte {
	to := l.sinks[0]
	if len(l.stamp) == 0 {
		end := bytes.LastIndexByte(block, '\n') + 1
		to.put(block[:end])
		return block[end:]
	}
	stamp, buf := l.stamp, to.buf
	for {
		end := bytes.IndexByte(block, '\n') + 1
		if end == 0 {
			to.buf = buf
			return block
		}
		if len(buf)+len(stamp)+end > to.limit {
			to.buf = buf
			to.put(stamp)
			to.put(block[:end])
			buf = to.buf
		} else {
			buf = append(buf, stamp...)
			buf = append(buf, block[:end]...)
		}
		to.limit += end
		block = block[end:]
	}
}

// startLine collects the start of a line until the script can see it, and returns what is left of block.
func (l *Log) startLine(block []byte) []byte {
	if len(l.head) == 0 {
		l.head = append(l.head, l.stamp...)
	}
	part := block[:min(len(block), lineHead-len(l.head))]
	end := bytes.IndexByte(part, '\n')
	if end >= 0 {
		part = part[:end]
	}
	l.head = append(l.head, part...)
	switch {
	case end >= 0:
		l.run()
		l.endLine()
		return block[end+1:]
	case len(l.head) == lineHead:
		l.run()
		l.longer = true
	}
	return block[len(part):]
}

// continueLine puts on file what the script does not see of a long line.
func (l *Log) continueLine(block []byte) []byte {
	end := bytes.IndexByte(block, '\n')
	if end < 0 {
		l.put(block)
		return nil
	}
	l.put(block[:end])
	l.endLine()
	return block[end+1:]
}

// midLine tells whether a line has been started that is not finished.
func (l *Log) midLine() bool { return l.longer || len(l.head) > 0 }

// finishLine ends the unfinished line, as the end of the input does.
func (l *Log) finishLine() {
	if len(l.head) > 0 {
		l.run()
		l.longer = true
	}
	if l.longer {
		l.endLine()
	}
}

func (l *Log) endLine() {
	l.put(newline[:])
	l.longer = false
}

// run takes the head of a line through the script, and puts it where it is selected to go.
func (l *Log) run() {
	selected := true
	for i := range l.script.actions {
		a := &l.script.actions[i]
		switch a.verb {
		case selects:
			selected = selected || a.pattern.matches(l.head)
		case deselects:
			selected = selected && !a.pattern.matches(l.head)
		case alerts:
			if selected {
				l.alertOf(l.head)
			}
		case shows:
			if selected {
				l.statusFiles[a.index].show(l.head)
			}
		case keeps:
			if !l.plain {
				l.sinks[a.index].selected = selected
			}
		}
	}
	l.put(l.head)
	l.head = l.head[:0]
}

// put appends to what the sinks have of the current line.
func (l *Log) put(part []byte) {
	for _, s := range l.sinks {
		if s.selected {
			s.put(part)
		}
	}
}

func (l *Log) flush() {
	for _, s := range l.sinks {
		s.flush()
	}
}

// alertHead is how much of a line an alert shows.
const alertHead = 200

// alertOf writes the start of line to the alerts, with one write. What becomes of that is nobody's
// business here: a lost standard error must not cost the log.
func (l *Log) alertOf(line []byte) {
	l.alert = append(l.alert[:0], line[:min(len(line), alertHead)]...)
	if len(line) > alertHead {
		l.alert = append(l.alert, "..."...)
	}
	l.alert = append(l.alert, '\n')
	l.env.Alerts.Write(l.alert)
}
