module upkeep

go 1.26.0

require (
	github.com/containerd/cgroups/v3 v3.1.3
	github.com/fsnotify/fsnotify v1.10.1
	golang.org/x/sys v0.49.0
)

require github.com/moby/sys/userns v0.1.0 // indirect
