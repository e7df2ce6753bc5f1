// guest is the program that the images of the tests hold: static, so that it needs nothing beside it.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	role, value := "", ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	if len(os.Args) > 2 {
		value = os.Args[2]
	}
	if filepath.Base(os.Args[0]) == "run" { // a service without a shell
		dir, _ := os.Getwd()
		role, value = "serve", filepath.Base(dir)
	}
	switch role {
	case "serve":
		serve(value)
	case "listen":
		listen()
	case "deaf":
		deaf()
	case "exit":
		os.Exit(number(value))
	case "raise":
		unix.Kill(os.Getpid(), syscall.Signal(number(value)))
		time.Sleep(time.Hour)
	default:
		fmt.Fprintln(os.Stderr, "guest: unknown role:", role)
		os.Exit(99)
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// serve says when it is up and when it is told to end.
func serve(name string) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGTERM)
	fmt.Println(name, "up")
	<-c
	fmt.Println(name, "TERM")
}

// deaf does nothing when it is told to end.
func deaf() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGTERM)
	fmt.Println("deaf up")
	for range c {
	}
}

// listen says which signals it gets, until TERM.
func listen() {
	c := make(chan os.Signal, 100)
	signal.Notify(c)
	fmt.Println("listening")
	for s := range c {
		switch s {
		case unix.SIGURG, unix.SIGCHLD: // of the Go runtime, or nobody's business
		case unix.SIGCONT: // comes along with TERM
		default:
			fmt.Println(unix.SignalName(s.(unix.Signal)))
		}
		if s == unix.SIGTERM {
			os.Exit(5)
		}
	}
}
