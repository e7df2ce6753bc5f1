package reaper

// Fork does in f what Start does between fork and registration.
func (r *Reaper) Fork(f func()) {
	r.begin()
	f()
	r.end(0, nil)
}
