package protocol

import (
	"fmt"
	"path"
	"strings"

	"github.com/seed-731df569/stash/addons/database"
)

// Bounds of what is asked for about a database.
const (
	// maxParams is more than anybody writes.
	maxParams = 256
	// maxParam is of a param's value, in bytes: arguments of a program.
	maxParam = 64 << 10
)

// Database is what a Dump or a Load is about. It holds secrets.
type Database struct {
	// Addon is the name of the database's kind, for example postgres.
	Addon string `json:"addon"`
	// Server is where it listens and as whom it is spoken to.
	Server database.Server `json:"server"`
	// Params are the user's.
	Params map[string]string `json:"params,omitempty"`
	// File is the name of the dump in the snapshot. Default: the addon's.
	File string `json:"file,omitempty"`
}

// Dump backs up a database into one snapshot. Its Result is that of a Backup, with one path.
type Dump struct {
	Database

	Host string   `json:"host"`
	Tags []string `json:"tags"`
	Args []string `json:"args,omitempty"`
}

// Load restores a database from a snapshot.
type Load struct {
	Database

	// ID is the snapshot's.
	ID string `json:"id"`
}

// Find returns the addon, and the file's path in the snapshot. It fails where the addon is not known here
// or what is asked for is out of bounds.
func (d Database) Find() (addon database.Addon, file string, err error) {
	addon, ok := database.Named(d.Addon)
	if !ok {
		return addon, "", fmt.Errorf("addon %q is not known to this agent", Clip(d.Addon, MaxName))
	}
	if file = d.File; file == "" {
		file = addon.File
	}
	file = strings.TrimPrefix(file, "/")
	if file == "" || file == "." || file == ".." || len(file) > 255 || strings.ContainsAny(file, "/\x00\r\n") {
		return addon, "", fmt.Errorf("file %q is no name of a file; for example %s", Clip(d.File, MaxName), addon.File)
	}
	if len(d.Params) > maxParams {
		return addon, "", fmt.Errorf("%d params are more than %d", len(d.Params), maxParams)
	}
	for name, value := range d.Params {
		if len(name) > MaxName || len(value) > maxParam {
			return addon, "", fmt.Errorf("param %q is longer than %d bytes", Clip(name, MaxName), maxParam)
		}
	}
	return addon, path.Join("/", file), nil
}
