package applet

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// An account is an entry of /etc/passwd.
type account struct {
	name        string
	uid, gid    uint32
	home, shell string
}

// lookupAccount finds an account by its name in /etc/passwd. A static program cannot ask what else
// nsswitch.conf may name.
func lookupAccount(name string) (account, bool) {
	passwd, _, _ := readAll("/etc/passwd") // without it there is no account
	return findAccount(passwd, name)
}

// findAccount finds name in the text of a passwd file. Lines that are not entries are passed over, and a
// name that starts with "+" or "-" is none, as to the C library.
func findAccount(passwd []byte, name string) (account, bool) {
	if name == "" || strings.ContainsAny(name[:1], "+-#") {
		return account{}, false
	}
	for line := range bytes.Lines(passwd) {
		fields := strings.Split(strings.TrimRight(string(line), "\n"), ":")
		if len(fields) < 4 || strings.TrimLeft(fields[0], " \t") != name {
			continue
		}
		uid, err := strconv.ParseUint(fields[2], 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(fields[3], 10, 32)
		if err != nil {
			continue
		}
		a := account{name: name, uid: uint32(uid), gid: uint32(gid)}
		if len(fields) > 5 {
			a.home = fields[5]
		}
		if len(fields) > 6 {
			a.shell = strings.Join(fields[6:], ":")
		}
		return a, true
	}
	return account{}, false
}

// findGroups lists the groups of an account, its own first, then those of the text of a group file that
// name it as a member.
func findGroups(group []byte, a account) []int {
	ids := []int{int(a.gid)}
	for line := range bytes.Lines(group) {
		fields := strings.Split(strings.TrimRight(string(line), "\n"), ":")
		if len(fields) < 4 || !slices.Contains(strings.Split(fields[3], ","), a.name) {
			continue
		}
		gid, err := strconv.ParseUint(fields[2], 10, 32)
		if err == nil && !slices.Contains(ids, int(gid)) {
			ids = append(ids, int(gid))
		}
	}
	return ids
}

// become takes the ids of an account: its group and no other, or with supplementary all that it is a
// member of, and last its user id, after which no group can be changed. It returns a text about what
// failed.
func become(a account, supplementary bool) (text string, err error) {
	if err := syscall.Setgroups([]int{int(a.gid)}); err != nil {
		return "unable to setgid", err
	}
	if err := syscall.Setgid(int(a.gid)); err != nil {
		return "unable to setgid", err
	}
	if supplementary {
		group, _, err := readAll("/etc/group")
		if err == nil {
			err = syscall.Setgroups(findGroups(group, a))
		}
		if err != nil {
			return "unable to initgroups", err
		}
	}
	if err := syscall.Setuid(int(a.uid)); err != nil {
		return "unable to setuid", err
	}
	return "", nil
}

// idChanges are the changes of the environment that tell of an account's ids.
func idChanges(a account) []string {
	return []string{
		"GID=" + strconv.FormatUint(uint64(a.gid), 10),
		"UID=" + strconv.FormatUint(uint64(a.uid), 10),
	}
}

// unknownAccount reports a name that no account has.
func (c *call) unknownAccount(prog, name string) int {
	c.say(prog + ": fatal: unknown account " + name)
	return exitTemporary
}
