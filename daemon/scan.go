package daemon

import (
	"math/rand/v2"
	"os"
	"path/filepath"
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
	tidyDelay       = 2 * time.Second
)

// A scanner reads the root. An event is only a hint that it should.
type scanner struct {
	lane      *supervisor.Lane
	begun     time.Time
	running   bool
	again     bool // something changed after the running scan began
	number    int  // of the last scan
	timer     *time.Timer
	resolving map[string]bool   // names whose target is being looked up, perhaps for ever
	problems  map[string]string // what was reported of a name, or of the root under ""
	missing   bool
	complete  bool   // a scan has been completed
	tidied    uint64 // the steps of the pool when memory was last tidied
	tidying   bool
}

func newScanner(d *daemon) scanner {
	return scanner{lane: d.host.Pool.NewLane(), resolving: make(map[string]bool), problems: make(map[string]string)}
}

// A listing is the root as one scan read it.
type listing struct {
	id    fsstate.ID
	names []dirent // sorted bytewise
	err   error
	watch error // why changes of the root go unnoticed
}

type dirent struct {
	name string
	id   fsstate.ID // of a directory
	link bool       // a symbolic link, of which only following it tells what it leads to
}

// rescan reads the root now, or as soon as the scan under way is done.
func (d *daemon) rescan() {
	sc := &d.scan
	if d.stop != nil {
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
		l := readRoot(d.root)
		if l.err == nil {
			l.watch = d.watch.root(d.root, l.id != known)
		}
		d.mail.post(func() { d.listed(l) })
	})
}

func readRoot(root string) (l listing) {
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
	names, err := dir.Readdirnames(-1)
	if err != nil {
		l.err = err
		return l
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			continue
		}
		if unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue // it has just gone
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			l.names = append(l.names, dirent{name: name, id: fsstate.ID{Dev: uint64(st.Dev), Ino: st.Ino}})
		case unix.S_IFLNK:
			l.names = append(l.names, dirent{name: name, link: true})
		}
	}
	return l
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
	d.rootID = l.id
	if l.watch != nil {
		d.problem("", "cannot watch %s: %v; looking every %v instead", d.root, l.watch, pollInterval)
	} else {
		delete(sc.problems, "")
	}
	number := sc.number
	for _, e := range l.names {
		d.resolve(e)
	}
	// Steps are run in the order in which they were queued, and one that hangs is passed over.
	sc.lane.Do(func() { d.mail.post(func() { d.unlisted(number, l.names) }) })
}

// resolve finds out what an entry is, on a lane of its own: following a link can hang.
func (d *daemon) resolve(e dirent) {
	sc := &d.scan
	number := sc.number
	if !e.link {
		d.host.Pool.NewLane().Do(func() { d.mail.post(func() { d.found(number, e.name, e.id) }) })
		return
	}
	if sc.resolving[e.name] {
		return
	}
	sc.resolving[e.name] = true
	path := filepath.Join(d.root, e.name)
	d.host.Pool.NewLane().Do(func() {
		id, isDir, err := fsstate.Identify(path)
		d.mail.post(func() {
			delete(sc.resolving, e.name)
			switch {
			case err != nil:
				d.problem(e.name, "cannot stat %s: %v; looking again at each scan", path, err)
			case isDir:
				d.found(number, e.name, id)
			}
		})
	})
}

// unlisted ends a scan: the services that it has not found are no longer listed.
func (d *daemon) unlisted(number int, names []dirent) {
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
		if name != "" && !slices.ContainsFunc(names, func(e dirent) bool { return e.name == name }) {
			delete(sc.problems, name)
		}
	}
	d.scanned()
	if !sc.complete {
		sc.complete = true
		d.startCommand()
	}
}

// scanned decides when the next scan is.
func (d *daemon) scanned() {
	sc := &d.scan
	sc.running = false
	took := time.Since(sc.begun)
	d.tidy()
	next := safetyInterval
	retry := !sc.again
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
	sc.timer = d.host.After(next, func() {
		if retry {
			for _, e := range d.entries {
				e.refresh()
			}
		}
		d.rescan()
	})
}

// burst is how many steps of supervisors are worth tidying for, and calm how few mean that they are done.
const (
	burst = 256
	calm  = 16
)

// tidy gives back, when many services have been started, the memory that only that took.
func (d *daemon) tidy() {
	steps := d.host.Pool.Steps()
	if d.scan.tidying || steps-d.scan.tidied < burst {
		return
	}
	d.scan.tidying = true
	d.host.After(tidyDelay, func() {
		d.scan.tidying = false
		if d.host.Pool.Steps()-steps > calm {
			d.tidy()
			return
		}
		d.scan.tidied = steps
		debug.FreeOSMemory()
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
