package main

import (
	"fmt"
	"math"
	"slices"
)

// median returns the middle of samples, and false where there are none.
func median(samples []float64) (float64, bool) {
	if len(samples) == 0 {
		return 0, false
	}
	s := slices.Sorted(slices.Values(samples))
	middle := len(s) / 2
	if len(s)%2 == 1 {
		return s[middle], true
	}
	return (s[middle-1] + s[middle]) / 2, true
}

// atMost is a budget of its own.
func atMost(limit float64) func(value, base float64) bool {
	return func(value, _ float64) bool { return value <= limit }
}

// atMostTimes is a budget relative to the baseline; it is kept where there is none.
func atMostTimes(factor float64) func(value, base float64) bool {
	return func(value, base float64) bool { return math.IsNaN(base) || value <= factor*base }
}

// atMostMore is a budget relative to the baseline.
func atMostMore(than float64) func(value, base float64) bool {
	return func(value, base float64) bool { return math.IsNaN(base) || value <= base+than }
}

// atLeast is a budget of its own, of what there can't be too much of.
func atLeast(limit float64) func(value, base float64) bool {
	return func(value, _ float64) bool { return value >= limit }
}

// atLeastTimes is the same relative to the baseline.
func atLeastTimes(factor float64) func(value, base float64) bool {
	return func(value, base float64) bool { return math.IsNaN(base) || value >= factor*base }
}

func orNaN(v float64, ok bool) float64 {
	if !ok {
		return math.NaN()
	}
	return v
}

// number shows a count, with decimals only where it is small and has some.
func number(v float64) string {
	if v >= 100 || v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// size shows bytes.
func size(v float64) string {
	if math.Abs(v) >= 1<<20 {
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", v/(1<<10))
}

// percent shows a share.
func percent(v float64) string { return fmt.Sprintf("%.0f %%", v*100) }

// rate shows bytes per second.
func rate(v float64) string { return fmt.Sprintf("%.0f MB/s", v/1e6) }

// duration shows seconds, the short ones as milliseconds.
func duration(v float64) string {
	switch {
	case v >= 1:
		return fmt.Sprintf("%.2f s", v)
	case v >= 0.1:
		return fmt.Sprintf("%.0f ms", v*1e3)
	case v < 1e-4:
		return fmt.Sprintf("%.1f µs", v*1e6)
	default:
		return fmt.Sprintf("%.2f ms", v*1e3)
	}
}

// ratio shows a factor with two digits that say something.
func ratio(v float64) string {
	if v == 0 || v >= 0.1 {
		return fmt.Sprintf("%.2f×", v)
	}
	return fmt.Sprintf("%.2g×", v)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
