//go:build !failpoint

package supervisor

// failLetters are letters that break a Supervisor, for tests of programs that are built with the tag failpoint.
const failLetters = ""

func (*Supervisor) fail(byte) {}
