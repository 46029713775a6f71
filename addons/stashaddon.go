package addons

import (
	"bytes"
	"encoding/json"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// KindStashAddon is the kind of parameters that are for Stash.
const KindStashAddon = "StashAddon"

// Bounds of what is read of parameters.
const (
	maxParameters = 256 << 10
	maxParams     = 256
)

// StashAddon says which Tasks back up and restore an application.
type StashAddon struct {
	// Backup and Restore name the Tasks; an empty name says nothing.
	Backup, Restore v1beta1.TaskRef
}

// parameters is StashAddon as it stands in spec.parameters of an AppBinding.
type parameters struct {
	Kind  string `json:"kind"`
	Stash struct {
		Addon struct {
			BackupTask  task `json:"backupTask"`
			RestoreTask task `json:"restoreTask"`
		} `json:"addon"`
	} `json:"stash"`
}

type task struct {
	Name   string          `json:"name"`
	Params []v1beta1.Param `json:"params"`
}

// Parse reads spec.parameters of an AppBinding; at is its path. Parameters of another kind are for
// somebody else, and say nothing to Stash, as none do. Fields that Stash does not know are left alone,
// since the kind has several readers; what is known and wrong is an error that quotes no value.
func Parse(raw *runtime.RawExtension, at *field.Path) (StashAddon, field.ErrorList) {
	if raw == nil || len(bytes.TrimSpace(raw.Raw)) == 0 {
		return StashAddon{}, nil
	}
	if len(raw.Raw) > maxParameters {
		return StashAddon{}, field.ErrorList{field.TooLong(at, field.OmitValueType{}, maxParameters)}
	}
	var of struct {
		Kind any `json:"kind"`
	}
	// What is no object is for somebody else, too.
	if json.Unmarshal(raw.Raw, &of) != nil || of.Kind != any(KindStashAddon) {
		return StashAddon{}, nil
	}
	var p parameters
	if err := json.Unmarshal(raw.Raw, &p); err != nil {
		return StashAddon{}, field.ErrorList{field.Invalid(at, field.OmitValueType{}, "cannot be read as a StashAddon: write stash: {addon: {backupTask: {name: postgres-backup-11.9, params: [{name: args, value: --clean}]}}}, with strings as names and values")}
	}
	at = at.Child("stash", "addon")
	errs := check(p.Stash.Addon.BackupTask, at.Child("backupTask"))
	errs = append(errs, check(p.Stash.Addon.RestoreTask, at.Child("restoreTask"))...)
	return StashAddon{Backup: p.Stash.Addon.BackupTask.ref(), Restore: p.Stash.Addon.RestoreTask.ref()}, errs
}

func (t task) ref() v1beta1.TaskRef { return v1beta1.TaskRef{Name: t.Name, Params: t.Params} }

func check(t task, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if t.Name == "" && len(t.Params) > 0 {
		errs = append(errs, field.Required(at.Child("name"), "the name of the Task that the params are for; for example postgres-backup-11.9"))
	}
	if len(t.Params) > maxParams {
		return append(errs, field.TooMany(at.Child("params"), len(t.Params), maxParams))
	}
	for i, p := range t.Params {
		if p.Name == "" {
			errs = append(errs, field.Required(at.Child("params").Index(i).Child("name"), "the name of the param; for example args"))
		}
	}
	return errs
}

// Task returns the Task that holds: the user's name before the addon's, and the addon's params with the
// user's over them, by name. The addon is that of the same direction: a restore gets nothing of the
// backup's. A user's Task of another name gets the addon's params too, as in the existing Stash. What is
// passed in is not changed.
func Task(addon, user v1beta1.TaskRef) v1beta1.TaskRef {
	out := v1beta1.TaskRef{Name: user.Name}
	if out.Name == "" {
		out.Name = addon.Name
	}
	at := map[string]int{}
	for _, params := range [][]v1beta1.Param{addon.Params, user.Params} {
		for _, p := range params {
			if i, ok := at[p.Name]; ok {
				out.Params[i] = p
				continue
			}
			at[p.Name] = len(out.Params)
			out.Params = append(out.Params, p)
		}
	}
	return out
}
