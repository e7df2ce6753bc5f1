package cgroup

// KillEach is what Kill does where the kernel cannot do it.
func (g *Group) KillEach() error { return g.killEach() }

// Poll makes the tree do without inotify.
func (t *Tree) Poll() {
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	t.watch.start(nil)
}
