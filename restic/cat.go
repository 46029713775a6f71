package restic

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"time"
)

// CatConfig reads the config: the cheapest test of place, keys and password.
type CatConfig struct{}

// Args returns the arguments.
func (o CatConfig) Args() []string {
	return []string{"cat", "--json", "--no-lock", "--", "config"}
}

// Config is a repository's.
type Config struct {
	// Version is the format, 1 or 2.
	Version int `json:"version"`
	// ID of the repository.
	ID string `json:"id"`
}

// ReadConfig decodes the output of CatConfig.
func ReadConfig(r io.Reader) (Config, error) {
	var c Config
	if err := json.NewDecoder(r).Decode(&c); err != nil {
		return c, fmt.Errorf("decode config: %w", err)
	}
	return c, nil
}

// CatLock reads one lock.
type CatLock struct {
	ID string
}

// Args returns the arguments.
func (o CatLock) Args() []string {
	return []string{"cat", "--json", "--no-lock", "--", "lock", o.ID}
}

// Lock is held by a running restic. A crashed one leaves it behind.
type Lock struct {
	ID        string    `json:"id,omitempty"`
	Time      time.Time `json:"time"`
	Exclusive bool      `json:"exclusive"`
	// Hostname is the kernel's: mostly the pod's name, with hostNetwork the node's.
	Hostname string `json:"hostname"`
	Username string `json:"username,omitempty"`
	PID      int    `json:"pid"`
	UID      uint32 `json:"uid,omitempty"`
	GID      uint32 `json:"gid,omitempty"`
}

// ReadLock decodes the output of CatLock.
func ReadLock(r io.Reader) (Lock, error) {
	var l Lock
	if err := json.NewDecoder(r).Decode(&l); err != nil {
		return l, fmt.Errorf("decode lock: %w", err)
	}
	return l, nil
}

// CatTree reads the entries of one directory of a snapshot.
type CatTree struct {
	// ID of the snapshot.
	ID string
	// Path of the directory, absolute.
	Path string
}

// Args returns the arguments.
func (o CatTree) Args() []string {
	return []string{"cat", "--json", "--no-lock", "--", "tree", o.ID + ":" + o.Path}
}

// Node is a file, directory or other entry of a snapshot.
type Node struct {
	Name string `json:"name"`
	// Type is file, dir, symlink, dev, chardev, fifo or socket.
	Type string `json:"type"`
	// Path is absolute; only ls gives it.
	Path    string      `json:"path,omitempty"`
	Mode    fs.FileMode `json:"mode"`
	ModTime time.Time   `json:"mtime"`
	// AccessTime is the same as ModTime unless the backup ran with --with-atime.
	AccessTime time.Time `json:"atime"`
	UID        uint32    `json:"uid"`
	GID        uint32    `json:"gid"`
	Size       int64     `json:"size,omitempty"`
	Xattrs     []Xattr   `json:"extended_attributes,omitempty"`
}

// Node types.
const (
	NodeDir     = "dir"
	NodeFile    = "file"
	NodeSymlink = "symlink"
)

// Xattr is an extended attribute.
type Xattr struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

// FindNode reads the output of CatTree and returns the entry of that name, and whether there is
// one. It holds one entry at a time: a directory may have millions.
func FindNode(r io.Reader, name string) (node Node, found bool, err error) {
	err = eachEntry(r, func(n Node) bool {
		if found = n.Name == name; found {
			node = n
		}
		return !found
	})
	return node, found, err
}

// ReadNames reads the output of CatTree and returns the names of the first entries, at most limit.
func ReadNames(r io.Reader, limit int) (names []string, err error) {
	err = eachEntry(r, func(n Node) bool {
		names = append(names, n.Name)
		return len(names) < limit
	})
	return names, err
}

// eachEntry calls each with the entries of a tree, one at a time, while it answers true.
func eachEntry(r io.Reader, each func(Node) bool) error {
	d := json.NewDecoder(r)
	for {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("decode tree: %w", err)
		}
		if key, ok := t.(string); ok && key == "nodes" {
			break
		}
	}
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("decode tree: expected a list of nodes, found %v: %w", t, err)
	}
	for d.More() {
		var n Node
		if err := d.Decode(&n); err != nil {
			return fmt.Errorf("decode node: %w", err)
		}
		// A stored name is quoted as in Go's source, so that it may hold any byte.
		if plain, err := strconv.Unquote(`"` + n.Name + `"`); err == nil {
			n.Name = plain
		}
		if !each(n) {
			return nil
		}
	}
	return nil
}
