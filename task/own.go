package task

import (
	"regexp"
	"slices"
	"strings"

	"github.com/seed-731df569/stash/addons"
)

// Action is what a Function of the catalogue does.
type Action string

// Values of Action.
const (
	// ActionBackup takes a backup of the addon's kind.
	ActionBackup Action = "backup"
	// ActionRestore brings one back.
	ActionRestore Action = "restore"
	// ActionUpdateStatus reports results; by convention the last step.
	ActionUpdateStatus Action = "update-status"
)

// AddonPVC is the addon of stand-alone volumes.
const AddonPVC = addons.PVC

// Own is a Function of the existing Stash's catalogue, in whose place Stash's own code runs.
type Own struct {
	Action Action
	// Addon is pvc or a name of the catalogue, for example postgres; empty where the action is all.
	Addon string
	// Version is the catalogue's version of the addon, for example 11.2; empty where it has none.
	Version string
}

// drafted are the draft's Functions, lower-cased.
func drafted() map[string]Own {
	return map[string]Own{
		"volumebackup":      {Action: ActionBackup, Addon: AddonPVC},
		"volumerecovery":    {Action: ActionRestore, Addon: AddonPVC},
		"pgbackup":          {Action: ActionBackup, Addon: "postgres"},
		"pgrecovery":        {Action: ActionRestore, Addon: "postgres"},
		"clusterbackup":     {Action: ActionBackup, Addon: "kubedump"},
		"stashpostbackup":   {Action: ActionUpdateStatus},
		"stashpostrecovery": {Action: ActionUpdateStatus},
	}
}

var (
	ownName    = regexp.MustCompile(`^([a-z-]+)-(backup|restore)(?:-(\d+(?:\.\d+)*(?:-v\d+)?))?$`)
	ownVersion = regexp.MustCompile(`:v?(\d+(?:\.\d+)*(?:-v\d+)?)(?:@|$)`)
)

// OwnFunction tells whether a Function is one of the catalogue of the existing Stash, and which. It is by
// its name, <addon>-backup-<version> for example; by the image, where that is one of the existing
// Stash's and the first of args is a sub-command of it. An empty image says nothing.
func OwnFunction(name, image string, args []string) (Own, bool) {
	name = strings.ToLower(name)
	if name == string(ActionUpdateStatus) {
		return Own{Action: ActionUpdateStatus}, true
	}
	if own, ok := drafted()[name]; ok {
		return own, true
	}
	if m := ownName.FindStringSubmatch(name); m != nil {
		_, known := addons.Catalogue()[m[1]]
		// A volume has no version, and everything else has one: mysql-backup is somebody's own.
		if known && (m[1] == AddonPVC) == (m[3] == "") {
			return Own{Action: Action(m[2]), Addon: m[1], Version: m[3]}, true
		}
	}
	return ownImage(image, args)
}

// ownImage knows the images of the existing Stash: those of its organisations, whose names are of an
// addon or its own.
func ownImage(image string, args []string) (Own, bool) {
	org, base, ok := organisation(image)
	if !ok || len(args) == 0 || !slices.Contains([]string{"stashed", "appscode", "appscodeci"}, org) {
		return Own{}, false
	}
	verb, _, _ := strings.Cut(args[0], "-")
	own := Own{}
	switch {
	case args[0] == string(ActionUpdateStatus), args[0] == "post-backup-update", args[0] == "post-recovery-update":
		return Own{Action: ActionUpdateStatus}, true
	case verb == "backup":
		own.Action = ActionBackup
	case verb == "restore", verb == "recover":
		own.Action = ActionRestore
	default:
		return Own{}, false
	}
	if base == "stash" && strings.HasSuffix(args[0], "-pvc") {
		own.Addon = AddonPVC
		return own, true
	}
	base = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(base, "stash-"), "-stash"), "-tool")
	for addon, others := range addons.Catalogue() {
		if base == addon || slices.Contains(others, base) {
			own.Addon = addon
			if m := ownVersion.FindStringSubmatch(image); m != nil && addon != AddonPVC {
				own.Version = m[1]
			}
			return own, true
		}
	}
	return Own{}, false
}

// organisation returns the last folder of an image's repository and its own name there, where the
// registry is one of those that the existing Stash is at.
func organisation(image string) (org, base string, ok bool) {
	image, _, _ = strings.Cut(image, "@")
	parts := strings.Split(image, "/")
	if len(parts) == 3 && slices.Contains([]string{"docker.io", "ghcr.io", "index.docker.io"}, parts[0]) {
		parts = parts[1:]
	}
	if len(parts) != 2 {
		return "", "", false
	}
	base, _, _ = strings.Cut(parts[1], ":")
	return parts[0], base, true
}
