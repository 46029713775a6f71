package v1beta1

import (
	"maps"
	"path"
	"slices"

	"github.com/seed-731df569/stash/api"
)

// DraftForm is a use of the design document's dialect, with the form to write instead.
type DraftForm struct {
	// Path of the field, for example spec.target.directories.
	Path string
	// Shipped is the path of the field to use instead.
	Shipped string
}

// Shipped returns the spec in the shipped dialect and the draft forms that were translated. The
// receiver is not changed. Where both forms are given the shipped one holds. A target that is a claim
// says where it is mounted, and what of it is backed up.
func (s *BackupConfigurationSpec) Shipped() (BackupConfigurationSpec, []DraftForm) {
	out := *s.DeepCopy()
	forms := out.Task.ship("spec.task")
	forms = append(forms, out.TempDir.ship("spec.tempDir")...)
	if out.Target != nil {
		forms = append(forms, out.Target.ship("spec.target")...)
	}
	return out, forms
}

// Shipped returns the spec in the shipped dialect and the draft forms that were translated. Rules
// of the deprecated spec.rules are moved to spec.target.rules. A target that is a claim says where it is
// mounted.
func (s *RestoreSessionSpec) Shipped() (RestoreSessionSpec, []DraftForm) {
	out := *s.DeepCopy()
	forms := out.Task.ship("spec.task")
	forms = append(forms, out.TempDir.ship("spec.tempDir")...)
	if len(out.Rules) > 0 {
		forms = append(forms, DraftForm{"spec.rules", "spec.target.rules"})
		if out.Target == nil {
			out.Target = &RestoreTarget{}
		}
		if len(out.Target.Rules) == 0 {
			out.Target.Rules = out.Rules
		}
		out.Rules = nil
	}
	if out.Target != nil {
		forms = append(forms, out.Target.ship()...)
	}
	return out, forms
}

// Shipped returns the spec in the shipped dialect and the draft forms that were translated.
func (s *BackupBlueprintSpec) Shipped() (BackupBlueprintSpec, []DraftForm) {
	out := *s.DeepCopy()
	forms := out.Task.ship("spec.task")
	return out, append(forms, out.TempDir.ship("spec.tempDir")...)
}

// InvokerRef returns the invoker, whichever dialect names it. A session without one has an empty
// name.
func (s *BackupSessionSpec) InvokerRef() BackupInvokerRef {
	if s.Invoker != nil {
		ref := *s.Invoker
		if ref.APIGroup == "" {
			ref.APIGroup = api.Group
		}
		return ref
	}
	if s.BackupConfiguration != nil {
		return BackupInvokerRef{APIGroup: api.Group, Kind: KindBackupConfiguration, Name: s.BackupConfiguration.Name}
	}
	return BackupInvokerRef{}
}

func (t *TaskRef) ship(at string) []DraftForm {
	if len(t.Inputs) == 0 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(t.Inputs)) {
		if !slices.ContainsFunc(t.Params, func(p Param) bool { return p.Name == name }) {
			t.Params = append(t.Params, Param{Name: name, Value: t.Inputs[name]})
		}
	}
	t.Inputs = nil
	return []DraftForm{{at + ".inputs", at + ".params"}}
}

func (e *EmptyDirSettings) ship(at string) []DraftForm {
	if !e.DisableCache {
		return nil
	}
	e.DisableCaching, e.DisableCache = true, false
	return []DraftForm{{at + ".disableCache", at + ".disableCaching"}}
}

func (t *BackupTarget) ship(at string) []DraftForm {
	var forms []DraftForm
	if len(t.Directories) > 0 {
		forms = append(forms, DraftForm{at + ".directories", at + ".paths"})
		if len(t.Paths) == 0 {
			t.Paths = t.Directories
		}
		t.Directories = nil
	}
	if t.MountPath != "" {
		forms = append(forms, DraftForm{at + ".mountPath", at + ".volumeMounts"})
	}
	t.Paths = clean(t.Paths)
	t.completeClaim()
	return forms
}

// clean writes absolute paths as restic stores them: without slashes at the end.
func clean(paths []string) []string {
	for i, p := range paths {
		if path.IsAbs(p) {
			paths[i] = path.Clean(p)
		}
	}
	return paths
}

func (t *RestoreTarget) ship() []DraftForm {
	var forms []DraftForm
	if len(t.Directories) > 0 {
		forms = append(forms, DraftForm{"spec.target.directories", "spec.target.rules[0].paths"})
		if len(t.Rules) == 0 {
			t.Rules = []Rule{{Paths: t.Directories}}
		}
		t.Directories = nil
	}
	if t.MountPath != "" {
		forms = append(forms, DraftForm{"spec.target.mountPath", "spec.target.volumeMounts"})
	}
	for i := range t.Rules {
		t.Rules[i].Paths = clean(t.Rules[i].Paths)
		if len(t.Rules[i].Hosts) == 0 {
			continue
		}
		forms = append(forms, DraftForm{"spec.target.rules[].hosts", "spec.target.rules[].targetHosts"})
		if len(t.Rules[i].TargetHosts) == 0 {
			t.Rules[i].TargetHosts = t.Rules[i].Hosts
		}
		t.Rules[i].Hosts = nil
	}
	t.completeClaim()
	return forms
}
