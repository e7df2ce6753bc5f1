package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// The block of a page that -write replaces is between these lines.
const (
	beginMarker = "<!-- bench:begin -->"
	endMarker   = "<!-- bench:end -->"
)

// checkMarkers tells in time that a page can't take the block.
func checkMarkers(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if _, err := replaceBlock(string(page), ""); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeBlock replaces the block of the page at path.
func writeBlock(path, block string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := replaceBlock(string(page), block)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// replaceBlock returns page with everything from the first marker's line to the last one's replaced.
func replaceBlock(page, block string) (string, error) {
	before, rest, ok1 := strings.Cut(page, beginMarker+"\n")
	_, after, ok2 := strings.Cut(rest, endMarker+"\n")
	if !ok1 || !ok2 {
		return "", errors.New("it needs the lines " + beginMarker + " and " + endMarker)
	}
	return before + block + after, nil
}
