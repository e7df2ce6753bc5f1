package fsstate

// A file is a name that means something in a service directory.
type file uint8

const (
	fileRun file = iota
	fileLog
	fileDown

	fileStart
	fileStop
	fileNotify
	fileNoSetsid

	fileTrigger

	fileFinish
	fileCheck
	fileControl

	fileNotificationFD
	fileTimeoutFinish
	fileTimeoutKill
	fileTimeoutKillGroup
	fileDownSignal
	fileReloadSignal
	fileNewPIDs
	fileDeathTally
	fileLockFD
	fileEvent

	fileEssential
	fileKillTree
	fileBackoff
	fileAfter
	fileNotifySocket
	fileCgroup

	files // how many there are
)

var fileNames = [files]string{
	fileRun:  "run",
	fileLog:  "log",
	fileDown: "down",

	fileStart:    "start",
	fileStop:     "stop",
	fileNotify:   "notify",
	fileNoSetsid: "no-setsid",

	fileTrigger: "trigger",

	fileFinish:  "finish",
	fileCheck:   "check",
	fileControl: "control",

	fileNotificationFD:   "notification-fd",
	fileTimeoutFinish:    "timeout-finish",
	fileTimeoutKill:      "timeout-kill",
	fileTimeoutKillGroup: "flag-timeout-killpg",
	fileDownSignal:       "down-signal",
	fileReloadSignal:     "reload-signal",
	fileNewPIDs:          "flag-newpidns",
	fileDeathTally:       "max-death-tally",
	fileLockFD:           "lock-fd",
	fileEvent:            "event",

	fileEssential:    "essential",
	fileKillTree:     "kill-tree",
	fileBackoff:      "backoff",
	fileAfter:        "after",
	fileNotifySocket: "notify-socket",
	fileCgroup:       "cgroup",
}

func (f file) String() string { return fileNames[f] }

// lookupFile finds a file by its name.
func lookupFile(name []byte) (file, bool) {
	for f, n := range fileNames {
		if string(name) == n {
			return file(f), true
		}
	}
	return 0, false
}

// A fileSet holds files.
type fileSet uint32

const allFiles fileSet = 1<<files - 1

func setOf(list ...file) (s fileSet) {
	for _, f := range list {
		s |= 1 << f
	}
	return s
}

func (s fileSet) has(f file) bool { return s&(1<<f) != 0 }
