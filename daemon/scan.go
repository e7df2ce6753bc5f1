package daemon

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"upkeep/fsstate"
	"upkeep/supervisor"
)

const (
	safetyInterval  = 60 * time.Second      // between scans that nothing asked for
	pollInterval    = 5 * time.Second       // svscan's, where changes are not noticed
	missingInterval = time.Second           // while there is no root
	scanGap         = 10 * time.Millisecond // at least, between scans, however much changes
	scanShare       = 4                     // and as many times as long as the last one took
	tidyDelay       = time.Second
)

// A scanner reads the root. An event is only a hint that it should.
type scanner struct {
	lane      *supervisor.Lane
	begun     time.Time
	running   bool
	again     bool // something changed after the running scan began
	number    int  // of the last scan
	timer     *time.Timer
	resolving map[string]bool   // names that are being looked at, perhaps for ever
	problems  map[string]string // what was reported of a name, or of the root under ""
	missing   bool
	complete  bool   // a scan has been completed
	tidied    uint64 // the steps of the pool when memory was last tidied
	tidying   bool
	grown     bool // entries have come since that was thought of
}

func newScanner(d *daemon) scanner {
	return scanner{lane: d.host.Pool.NewLane(), resolving: make(map[string]bool), problems: make(map[string]string)}
}

// A listing is the root as one scan read it.
type listing struct {
	id    fsstate.ID
	names []string // of what may be directories, sorted bytewise
	err   error
	watch error // why changes of the root go unnoticed
}

// rescan reads the root now, or as soon as the scan under way is done.
func (d *daemon) rescan() {
	sc := &d.scan
	if d.stop != nil || d.alone {
		return
	}
	if sc.running {
		sc.again = true
		return
	}
	sc.running, sc.again = true, false
	sc.begun = time.Now()
	sc.number++
	if sc.timer != nil {
		sc.timer.Stop()
	}
	known := d.rootID
	sc.lane.Do(func() {
		l := readRoot(d.root, func(id fsstate.ID) error { return d.watch.root(d.root, id != known) })
		d.mail.post(func() { d.listed(l) })
	})
}

// readRoot reads the root, which is watched first: what comes after the reading is then an event.
func readRoot(root string, watch func(fsstate.ID) error) (l listing) {
	dir, err := os.Open(root)
	if err != nil {
		l.err = err
		return l
	}
	defer dir.Close()
	var st unix.Stat_t
	if l.err = unix.Fstat(int(dir.Fd()), &st); l.err != nil {
		return l
	}
	l.id = fsstate.ID{Dev: uint64(st.Dev), Ino: st.Ino}
	l.watch = watch(l.id)
	// The types come with the names: looking at an entry can hang, if it is a mount.
	entries, err := dir.ReadDir(-1)
	if err != nil {
		l.err = err
		return l
	}
	for _, e := range entries {
		if (e.IsDir() || e.Type() == os.ModeSymlink) && !strings.HasPrefix(e.Name(), ".") {
			l.names = append(l.names, e.Name())
		}
	}
	slices.Sort(l.names)
	reserve(len(l.names))
	return l
}

// descriptorsEach is what a service takes, or with a logger nearly takes.
const descriptorsEach = 4

// reserve makes the kernel's table of our descriptors large enough for that many services at once. Left to
// itself it doubles again and again, and each time all threads that share it wait for a grace period.
func reserve(services int) {
	fd, err := unix.FcntlInt(uintptr(unix.Stderr), unix.F_DUPFD_CLOEXEC, descriptorsEach*services)
	if err == nil {
		unix.Close(fd)
	}
}

// listed takes in what a scan has read.
func (d *daemon) listed(l listing) {
	sc := &d.scan
	if d.stop != nil {
		return
	}
	if l.err != nil {
		d.problem("", "cannot read %s: %v; its services are kept, and it is looked for every second", d.root, unwrapPath(l.err))
		sc.missing = true
		d.scanned()
		return
	}
	if sc.missing {
		d.messages.warn("", "%s is there again", d.root)
	}
	sc.missing = false
	if d.rootID != l.id && d.rootID != (fsstate.ID{}) {
		d.lockHome()
	}
	d.rootID = l.id
	if l.watch != nil {
		d.problem("", "cannot watch %s: %v; looking every %v instead", d.root, l.watch, pollInterval)
	} else {
		delete(sc.problems, "")
	}
	d.newResolver(l.names).begin()
}

// unlisted ends a scan: the services that it has not found are no longer listed. What it could not look
// at is kept.
func (d *daemon) unlisted(number int, names []string) {
	sc := &d.scan
	if d.stop != nil {
		return
	}
	for _, e := range d.sorted() {
		if e.seen < number && !sc.resolving[e.name] {
			e.removed()
		}
	}
	for name := range sc.problems {
		if _, listed := slices.BinarySearch(names, name); !listed && name != "" {
			delete(sc.problems, name)
		}
	}
	if !sc.complete {
		sc.complete = true
		d.resumed()
		d.findRemoved()
		d.startCommand()
	}
	d.scanned()
}

// scanned decides when the next scan is.
func (d *daemon) scanned() {
	sc := &d.scan
	sc.running = false
	took := time.Since(sc.begun)
	d.tidy()
	next := safetyInterval
	if sc.complete && !sc.again {
		d.notify.scanned(d.starts)
	}
	switch {
	case sc.again:
		next = max(scanGap-took, scanShare*took)
	case sc.missing:
		next = missingInterval
	case sc.problems[""] != "":
		next = pollInterval
	default:
		next += time.Duration((rand.Float64() - 0.5) / 5 * float64(next))
	}
	sc.timer = d.host.After(next, d.rescan)
}

// burst is how many steps of supervisors are worth tidying for, and calm how few mean that they are done.
const (
	burst = 256
	calm  = 16
)

// tidy gives back, when many services have been started, the memory that only that took.
func (d *daemon) tidy() {
	sc, pool := &d.scan, d.host.Pool
	steps := pool.Steps()
	if sc.tidying || steps-sc.tidied < burst && !sc.grown {
		return
	}
	sc.tidying, sc.grown = true, false
	d.host.After(tidyDelay, func() {
		sc.tidying = false
		switch now := pool.Steps(); {
		case now-steps > calm:
			d.tidy()
		case now-sc.tidied >= burst:
			sc.tidied = now
			debug.FreeOSMemory()
		}
	})
}

// problem reports what is wrong with an entry, or with the root when name is empty, once per cause.
func (d *daemon) problem(name, format string, args ...any) {
	key := format
	for _, a := range args {
		if err, ok := a.(error); ok {
			key += err.Error()
		}
	}
	if d.scan.problems[name] != key {
		d.scan.problems[name] = key
		d.messages.warn(name, format, args...)
	}
}

// unwrapPath strips the path from an error whose message names it already.
func unwrapPath(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
