# make              builds bin/upkeep and a link beside it for every command
# make run          supervises a demo root until ^C
# make test         runs every test; UPKEEP_TEST_ALL=1 makes a test that this machine cannot run a failure
# make bench        compares with the installed peers and records the table in docs/performance.md
# make chaos        ROUNDS= SEED= lets a daemon suffer at random, and in each of its system calls, for longer than make test does
# make fuzz         runs each fuzz target for FUZZTIME
# make install      DESTDIR= PREFIX=/usr/local; also the systemd units, and files for OpenRC and SysV init

DESTDIR  =
PREFIX   = /usr/local
FUZZTIME = 20s
ROUNDS   = 10000
SEED     = 1
COMMANDS = envdir envini envuidgid fghack multilog pgrphack readproctitle setlock setuidgid setuser softlimit supervise svc svok svscan svscanboot svstat svup tai64n tai64nfrac tai64nlocal

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

all: bin/upkeep
	@for c in $(COMMANDS); do ln -sf upkeep bin/$$c; done

# go build knows best what is up to date.
bin/upkeep: FORCE
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/upkeep .

run: all
	@exec configs/demo-run

test: all
	@test -z "$$(gofmt -l .)" || { gofmt -l . | sed 's/^/not gofmt: /'; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	CGO_ENABLED=1 go test -race -timeout 30m ./...

bench: all
	go run ./test/bench -write docs/performance.md

chaos: all
	go test -count=1 -timeout 24h -v ./test/chaos -args -rounds=$(ROUNDS) -seed=$(SEED)
	go test -count=1 -timeout 24h -run TestPoints ./test/resume -args -every=1

fuzz:
	@set -e; for p in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
			echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; \
		done; \
	done

install: all
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 bin/upkeep $(DESTDIR)$(PREFIX)/bin/upkeep
	@for c in $(COMMANDS); do ln -sf upkeep $(DESTDIR)$(PREFIX)/bin/$$c; done
	install -d $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 $(foreach c,upkeep $(COMMANDS),docs/man/$(c).8) $(DESTDIR)$(PREFIX)/share/man/man8
	@# systemd looks there itself; what is for other inits is copied by hand, see docs/init.md.
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/upkeep
	$(call place,init/systemd/upkeep.service,644,lib/systemd/system/upkeep.service)
	$(call place,init/systemd/upkeep@.service,644,lib/systemd/system/upkeep@.service)
	$(call place,init/openrc/upkeep,755,share/upkeep/openrc)
	$(call place,init/sysv/inittab,644,share/upkeep/inittab)

# place installs a file that names programs of PREFIX.
place = sed 's,/usr/local/bin/,$(PREFIX)/bin/,g' $(1) >$(DESTDIR)$(PREFIX)/$(3) && chmod $(2) $(DESTDIR)$(PREFIX)/$(3)

clean:
	rm -rf bin

.PHONY: all run test bench chaos fuzz install clean FORCE
