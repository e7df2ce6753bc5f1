package fsstate

// A Held is the descriptors by which a supervise directory is held. They can be handed on to the program
// that this process executes in its own place, so that no client finds the directory unsupervised.
type Held struct{ Lock, Control, OK int }

// Held returns what holds the directory, and the supervise directory's ID, by which Take finds it again.
// The descriptors are -1 where there are none.
func (d *Dir) Held() (ID, Held) { return d.id, Held{d.lock, d.control, d.ok} }

// keep takes over what a Held has.
func (d *Dir) keep(h Held) { d.lock, d.control, d.ok = h.Lock, h.Control, h.OK }
