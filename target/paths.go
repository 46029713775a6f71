package target

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/seed-731df569/stash/api"
)

const (
	// MaxPath is the longest path that Linux takes, in bytes.
	MaxPath = 4095
	// MaxName is the longest name of a file or folder that file systems take, in bytes.
	MaxName = 255
)

// CleanPath returns p without double and trailing slashes, as restic and the kernel read it. Dots are
// left for CheckPath to refuse, since "/source/../data" is hardly meant, and so is what is longer than
// MaxPath.
func CleanPath(p string) string {
	if !strings.HasPrefix(p, "/") || len(p) > MaxPath {
		return p
	}
	return "/" + strings.Join(strings.FieldsFunc(p, func(r rune) bool { return r == '/' }), "/")
}

// CheckPath returns what is wrong with a path to back up or restore, and what to write; empty if it
// can be used: absolute, clean and not the root.
func CheckPath(p string) string {
	switch {
	case p == "":
		return "must not be empty; for example /source/data"
	case len(p) > MaxPath:
		return fmt.Sprintf("is longer than a path can be: write at most %d bytes", MaxPath)
	case slices.ContainsFunc(split(p), func(name string) bool { return len(name) > MaxName }):
		return fmt.Sprintf("has a folder with a name of more than %d bytes, which no file system has: write the names of folders that are there", MaxName)
	case !strings.HasPrefix(p, "/"):
		return fmt.Sprintf("must be absolute: write %s", path.Clean("/"+p))
	case strings.ContainsRune(p, 0) || strings.ContainsAny(p, "\n\r"):
		return "must not hold control characters"
	case path.Clean(p) == "/":
		return "must not be /: name the folders that volumes are mounted at, for example /source/data"
	case path.Clean(p) != p:
		return fmt.Sprintf("must be clean: write %s", path.Clean(p))
	}
	return ""
}

// CheckMountPath returns what is wrong with the place where a volume is mounted into the containers
// of Stash, and what to write; empty if it can be used. Beside CheckPath's rules it must neither
// hide the programs of Stash's image nor lie in, or hold, the folders that Stash mounts itself.
func CheckMountPath(p string) string {
	if problem := CheckPath(p); problem != "" {
		return problem
	}
	// A colon separates the parts of the annotation and is refused by the API server.
	if strings.Contains(p, ":") {
		return "must not hold a colon"
	}
	for _, own := range []string{api.MountTmp, api.MountToken, api.MountCA} {
		if Covers(own, p) || Covers(p, own) {
			return fmt.Sprintf("must not lie in or above %s, which Stash mounts itself: mount the volume elsewhere, for example at /data, and name that in the paths", own)
		}
	}
	image := []string{"/bin", "/sbin", "/lib", "/lib64", "/etc", "/usr", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/local", "/usr/local/bin"}
	kernel := []string{"/proc", "/sys", "/dev"}
	hides := slices.Contains(image, p) || slices.ContainsFunc(kernel, func(dir string) bool { return Covers(dir, p) })
	if hides {
		return fmt.Sprintf("must not hide %s of Stash's own container: mount the volume elsewhere, for example at /data, and name that in the paths", p)
	}
	return ""
}
