package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Sizes of what loggers get.
const (
	linesSize   = 300 << 20
	shortSize   = 100 << 20 // of lines of one byte, which become 14 times as much
	endlessSize = 1 << 30
)

// inputOf returns the producer's command line for a load. Lines come from files that are made before anything
// is measured, so that they are in the page cache.
func (b *bench) inputOf(l load) (command []string, err error) {
	if l == endless {
		return []string{"head", "-c", fmt.Sprint(endlessSize), "/dev/zero"}, nil
	}
	path := filepath.Join(b.dir, string(l))
	if _, err := os.Stat(path); err == nil {
		return []string{"cat", path}, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if l == shortLines {
		err = writeShort(file, shortSize)
	} else {
		err = writeLines(file, linesSize)
	}
	if err == nil {
		err = file.Sync()
	}
	return []string{"cat", path}, err
}

// writeLines writes size bytes of lines of 80 to 120 bytes.
func writeLines(file *os.File, size int) error {
	w := bufio.NewWriterSize(file, 1<<20)
	r := rand.New(rand.NewPCG(1, 1))
	text := bytes.Repeat([]byte("GET /a/b/c?d=1 200 "), 7)
	for size > 0 {
		n := min(80+r.IntN(41), size)
		w.Write(text[:n-1])
		w.WriteByte('\n') // what failed before fails in Flush
		size -= n
	}
	return w.Flush()
}

func writeShort(file *os.File, size int) error {
	block := bytes.Repeat([]byte("x\n"), 1<<19)
	for ; size > 0; size -= len(block) {
		if _, err := file.Write(block); err != nil {
			return err
		}
	}
	return nil
}
