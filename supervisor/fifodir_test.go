package supervisor

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listen makes a FIFO as s6's listeners do.
func (g *guest) listen() *os.File {
	g.h.t.Helper()
	if err := os.MkdirAll(g.file("event"), 0o755); err != nil {
		g.h.t.Fatal(err)
	}
	path := g.file("event/ftrig1:@400000006b02abb10bee2e51:abcdef")
	if err := unix.Mkfifo(path, 0o622); err != nil {
		g.h.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		g.h.t.Fatal(err)
	}
	g.h.t.Cleanup(func() { f.Close() })
	f.SetReadDeadline(time.Now().Add(patience))
	return f
}

// TestEvents: s6's listeners are told of all that becomes of a service, each time after its status.
func TestEvents(t *testing.T) {
	for _, test := range []struct{ name, finish, run, want string }{
		{"no finish", "", "echo >&3; read l < go", "suUdDx"},
		{"finish", "exit 0", "echo >&3; read l < go", "suUdDx"},
		{"failed for good", "exit 125", "read l < go", "sudODx"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			g := h.guest("web", "#!/bin/sh\n"+test.run+"\n", "notification-fd=3")
			if test.finish != "" {
				g.write("finish", "#!/bin/sh\n"+test.finish+"\n", 0o755)
			}
			g.fifo("go")
			f := g.listen()
			got := ""
			hear := func(n int) {
				t.Helper()
				for b := make([]byte, 16); len(got) < n; {
					k, err := f.Read(b)
					if err != nil {
						t.Fatalf("it was told %q: %v", got, err)
					}
					got += string(b[:k])
				}
			}
			g.begin()
			hear(2)
			if test.want[2] == 'U' {
				hear(3)
			}
			if test.want[2] == 'U' {
				if s := g.status(); len(s) != 35 || s[34] != 4|8 {
					t.Errorf("when it is ready its status is %v", s)
				}
			}
			h.do(func() { g.s.Letters("o") })
			g.feed("go")
			hear(len(test.want) - 1)
			g.svc("x")
			hear(len(test.want))
			if got != test.want {
				t.Errorf("it was told %q, want %q", got, test.want)
			}
		})
	}
}
