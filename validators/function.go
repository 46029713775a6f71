package validators

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/task"
)

// Function validates fn. Old is what it replaces, nil on creation and for stored objects; a request that
// leaves the spec as it is is never refused. What its variables become is not known here.
func Function(fn, old *v1beta1.Function, _ Facts) Result {
	var r Result
	if old != nil && equality.Semantic.DeepEqual(fn.Spec, old.Spec) {
		return r
	}
	at := field.NewPath("spec")
	spec, forms := fn.Spec.Shipped()
	r.drafts(forms)
	draft := fn.Spec.Container
	if draft != nil && (fn.Spec.Image != "" || len(fn.Spec.Command)+len(fn.Spec.Args)+len(fn.Spec.VolumeMounts) > 0) {
		r.add(field.Forbidden(at.Child("container"), "the draft's form stands alone: move its fields up beside image, and env to runtimeSettings.env"))
	}
	inside := at
	if draft != nil {
		inside = at.Child("container")
	}
	r.unreadable(task.CheckIn(&fn.Spec, "spec"))
	r.image(spec.Image, inside.Child("image"))
	r.containerMounts(spec.VolumeMounts, inside.Child("volumeMounts"))
	if spec.PodSecurityPolicyName != "" {
		r.warn("%s has no effect: Kubernetes has no PodSecurityPolicies any more; remove it", at.Child("podSecurityPolicyName"))
	}
	if _, own := task.OwnFunction(fn.Name, spec.Image, spec.Args); own {
		r.warn("Function %q is one that the existing Stash brings: Stash's own code runs in its place", fn.Name)
	}
	r.warn("no Job runs Functions yet: a BackupConfiguration or RestoreSession that names a Task is refused")
	return r
}

// Task validates t. Old is what it replaces, nil on creation and for stored objects; a request that leaves
// the spec as it is is never refused. Whether its Functions exist is not asked: they may come later.
func Task(t, old *v1beta1.Task, _ Facts) Result {
	var r Result
	if old != nil && equality.Semantic.DeepEqual(t.Spec, old.Spec) {
		return r
	}
	at := field.NewPath("spec")
	spec, forms := t.Spec.Shipped()
	r.drafts(forms)
	if len(t.Spec.Steps) > 0 && len(t.Spec.Functions) > 0 {
		r.add(field.Forbidden(at.Child("functions"), "is the draft's form of steps: give one of them"))
	}
	r.unreadable(task.CheckIn(&t.Spec, "spec"))
	if len(spec.Steps) == 0 {
		r.add(field.Required(at.Child("steps"), "the Functions to run, in order; for example steps: [{name: pvc-backup}]"))
	}
	for i := range spec.Steps {
		if len(t.Spec.Steps) > 0 {
			r.step(&spec.Steps[i], at.Child("steps").Index(i), "params", false)
		} else {
			r.step(&spec.Steps[i], at.Child("functions").Index(i), "inputs", true)
		}
	}
	r.taskVolumes(spec.Volumes, at.Child("volumes"))
	r.warn("no Job runs Tasks yet: a BackupConfiguration or RestoreSession that names one is refused")
	return r
}

// unreadable reports strings whose variables cannot be read.
func (r *Result) unreadable(err error) {
	for _, f := range task.FieldErrors(err) {
		r.add(field.Invalid(field.NewPath(f.Field), field.OmitValueType{}, f.Err.Error()))
	}
}

// image checks a name without variables; with some it is known when they are.
func (r *Result) image(image string, at *field.Path) {
	switch {
	case image == "":
		r.add(field.Required(at, "the image of the container; for example registry.example/dump:v1"))
	case strings.Contains(image, "${"):
	default:
		if reason := task.ImageFault(image); reason != "" {
			r.add(field.Invalid(at, cutShort(image), reason))
		}
	}
}

func (r *Result) containerMounts(mounts []corev1.VolumeMount, at *field.Path) {
	for i, m := range mounts {
		at := at.Index(i)
		if m.Name == "" {
			r.add(field.Required(at.Child("name"), "the name of a volume of the Task, or stash-tmp-dir; for example ${targetVolume}"))
		}
		if m.MountPath == "" || !strings.Contains(m.MountPath, "${") && !path.IsAbs(m.MountPath) {
			r.add(field.Invalid(at.Child("mountPath"), cutShort(m.MountPath), "must be an absolute path; for example /data"))
		}
	}
}

// step checks a step; its names are as they are written, but lower-cased in the draft's form.
func (r *Result) step(s *v1beta1.TaskStep, at *field.Path, params string, draft bool) {
	const example = "the name of a Function: lower-case letters, digits, hyphens and dots; for example postgres-backup-11.9"
	switch {
	case s.Name == "":
		r.add(field.Required(at.Child("name"), example))
	case strings.Contains(s.Name, "${"):
	case len(validation.IsDNS1123Subdomain(s.Name)) > 0:
		r.add(field.Invalid(at.Child("name"), cutShort(s.Name), "must be "+example))
	default:
		if _, own := task.OwnFunction(s.Name, "", nil); own {
			r.warnOnce("%s: Function %q is one that the existing Stash brings: Stash's own code runs in its place", at.Child("name"), s.Name)
		}
	}
	seen := map[string]bool{}
	for i, p := range s.Params {
		name := at.Child(params).Index(i).Child("name")
		if draft {
			name = at.Child(params).Key(cutShort(p.Name))
		}
		switch {
		case !task.VariableName(p.Name):
			r.add(field.Invalid(name, cutShort(p.Name), "must be a name that ${…} can hold: letters, digits and underscores, after the first character dots and hyphens too; for example outputDir"))
		case seen[p.Name]:
			r.add(field.Duplicate(name, cutShort(p.Name)))
		}
		seen[p.Name] = true
	}
}

func (r *Result) taskVolumes(volumes []corev1.Volume, at *field.Path) {
	seen := map[string]bool{}
	for i := range volumes {
		name := volumes[i].Name
		at := at.Index(i).Child("name")
		switch {
		case strings.Contains(name, "${"):
			continue
		case len(validation.IsDNS1123Label(name)) > 0:
			r.add(field.Invalid(at, cutShort(name), "must be lower-case letters, digits and hyphens, at most 63; for example data"))
		case seen[name]:
			r.add(field.Duplicate(at, name))
		}
		seen[name] = true
	}
}

// cutShort leaves of what somebody wrote as much as a message has room for.
func cutShort(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// jobAccess holds the author of a Function or Task to the right to create pods in all namespaces: its
// containers run wherever somebody names the Task, and those who do choose neither image nor command.
func jobAccess(same bool, what string) []Access {
	if same {
		return nil
	}
	return []Access{{Verb: "create", Resource: "pods", Field: field.NewPath("spec"), Why: what}}
}

func functionAccess(fn, old *v1beta1.Function) []Access {
	return jobAccess(old != nil && equality.Semantic.DeepEqual(fn.Spec, old.Spec), "it runs in the pods of Jobs in every namespace where a Task with it is named")
}

func taskAccess(t, old *v1beta1.Task) []Access {
	return jobAccess(old != nil && equality.Semantic.DeepEqual(t.Spec, old.Spec), "its steps and volumes make the pods of Jobs in every namespace where it is named")
}
