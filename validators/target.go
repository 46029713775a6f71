package validators

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/target"
)

func itoa(n int32) string { return strconv.Itoa(int(n)) }

// ref checks what a target names, by default in the namespace own. It returns the kind, and false if
// there is none to go on with. The target may be in another namespace: AccessNeeded asks for the
// right to change it there. A Task works in pods of its own, so that it may lie anywhere.
func (r *Result) ref(ref v1beta1.TargetRef, own string, byTask bool, f *Facts, at *field.Path) (target.Kind, bool) {
	if ref == (v1beta1.TargetRef{}) {
		r.add(field.Forbidden(at, "a target that names no workload is not supported yet: write apiVersion, kind and name, for example apps/v1, Deployment, web"))
		return target.Kind{}, false
	}
	r.namespace(ref.Namespace, "the object's own", at.Child("namespace"))
	if ref.Name == "" {
		r.add(field.Required(at.Child("name"), "for example web"))
	} else if detail := objectName(ref.Name, "web"); detail != "" {
		r.add(field.Invalid(at.Child("name"), ref.Name, detail))
	}
	if ref.Kind == "" {
		r.add(field.Required(at.Child("kind"), "for example Deployment"))
		return target.Kind{}, false
	}
	kind, err := target.FindRef(ref)
	switch {
	case errors.Is(err, target.ErrNotSupportedYet):
		r.add(field.Forbidden(at.Child("kind"), err.Error()))
	case err != nil:
		r.add(field.Invalid(at.Child("kind"), ref.Kind, err.Error()))
	case kind.Model == target.ModelSidecar && !byTask:
		if why := target.Excluded(target.Namespace(ref, own), f.OperatorNamespace); why != "" {
			r.add(field.Forbidden(at, why))
		}
	}
	if known, ok := target.Of(f.Target); ok && known.HostCount(f.Target) > target.MaxHosts {
		r.add(field.Invalid(at.Child("name"), ref.Name, fmt.Sprintf("it wants %d pods, and the results of at most %d hosts fit into one object: want fewer, or split it into workloads of their own", known.HostCount(f.Target), target.MaxHosts)))
	}
	return kind, err == nil
}

func (r *Result) alias(alias string, at *field.Path) {
	if alias == "" {
		return
	}
	if errs := validation.IsDNS1123Label(alias); len(errs) > 0 {
		r.add(field.Invalid(at, alias, "must be lower-case letters, digits and hyphens, at most 63: it begins host names; for example app-data"))
	}
}

// mounts checks volumeMounts against each other and, where it is known, against the workload.
func (r *Result) mounts(mounts []corev1.VolumeMount, volumes []string, known bool, at *field.Path) {
	places := map[string]bool{}
	has := make(map[string]bool, len(volumes))
	for _, name := range volumes {
		has[name] = true
	}
	for i, m := range mounts {
		at := at.Index(i)
		switch {
		case m.Name == "":
			r.add(field.Required(at.Child("name"), "the name of a volume in the pods of the target; for example data"))
		case known && !has[m.Name]:
			r.add(field.Invalid(at.Child("name"), m.Name, "the target's pods have no such volume; they have "+list(volumes)))
		}
		place := target.CleanPath(m.MountPath)
		if detail := target.CheckMountPath(place); detail != "" {
			r.add(field.Invalid(at.Child("mountPath"), m.MountPath, detail))
		} else if places[place] {
			r.add(field.Duplicate(at.Child("mountPath"), m.MountPath))
		}
		places[place] = true
		if leaves(m.SubPath) {
			r.add(field.Invalid(at.Child("subPath"), m.SubPath, "must be relative and without ..; for example uploads"))
		}
		if leaves(m.SubPathExpr) {
			r.add(field.Invalid(at.Child("subPathExpr"), m.SubPathExpr, "must be relative and without ..; for example uploads/$(POD_NAMESPACE)"))
		}
		if m.SubPath != "" && m.SubPathExpr != "" {
			r.add(field.Invalid(at.Child("subPathExpr"), m.SubPathExpr, "excludes subPath: write one of them"))
		}
		if m.MountPropagation != nil {
			r.warn("%s has no effect", at.Child("mountPropagation"))
		}
	}
}

// leaves tells whether a path in a volume would lead out of it.
func leaves(subPath string) bool {
	return path.IsAbs(subPath) || slices.Contains(strings.Split(subPath, "/"), "..")
}

// paths checks paths, each by itself and whether a mount holds it. Outside of the mounts a backup
// fails aloud when it finds nothing, so that is a warning; above one it finds what is mounted. A restore
// would write into a file system that dies with its container, so that is an error.
func (r *Result) paths(paths []string, mounts mounted, at *field.Path, restore bool) {
	seen := map[string]bool{}
	for i, text := range paths {
		p := target.CleanPath(text)
		detail := target.CheckPath(p)
		held := len(mounts.places) == 0 || mounts.folders.Cover(p) || !restore && mounts.folders.Meet(p)
		switch {
		case detail != "":
			r.add(field.Invalid(at.Index(i), text, detail))
		case seen[p]:
			r.add(field.Duplicate(at.Index(i), text))
		case !held && restore:
			r.add(field.Invalid(at.Index(i), text, "lies in none of the volumeMounts ("+list(mounts.places)+"): mount the volume that holds it"))
		case !held:
			r.warn("%s: %s lies in none of the volumeMounts (%s): the backup fails unless Stash's own image has it; mount the volume that holds it", at.Index(i), text, list(mounts.places))
		}
		seen[p] = true
	}
}

// objectName returns what is wrong with a name, empty if nothing.
func objectName(name, example string) string {
	if len(validation.IsDNS1123Subdomain(name)) == 0 {
		return ""
	}
	return "must be the name of an object: lower-case letters, digits, hyphens and dots; for example " + example
}

// namespace checks a namespace that may be left out, which means otherwise.
func (r *Result) namespace(name, otherwise string, at *field.Path) {
	if name != "" && len(validation.IsDNS1123Label(name)) > 0 {
		r.add(field.Invalid(at, name, "must be the name of a namespace; leave it out for "+otherwise))
	}
}

// volumes checks mounts and paths together. The draft's form may leave the mounts out; they are then
// the containers'. It returns the mounts that hold.
func (r *Result) volumes(v volumes, at *field.Path, f *Facts) []corev1.VolumeMount {
	kind, known := target.Of(f.Target)
	var names []string
	if known {
		names = kind.Volumes(f.Target)
	}
	mounts := v.mounts
	switch {
	case len(mounts) == 0 && !v.draft:
		r.add(field.Required(at.Child("volumeMounts"), "the volumes that hold the paths"+mountExample(names)))
	case len(mounts) == 0 && known:
		derived, missing := target.MountsFor(kind.PodTemplate(f.Target), clean(v.paths))
		for _, p := range missing {
			r.add(field.Invalid(v.at, p, "no container of the target mounts a volume at this path or above it: write volumeMounts"+mountExample(names)))
		}
		return derived
	}
	r.mounts(mounts, names, known, at.Child("volumeMounts"))
	return mounts
}

func clean(paths []string) []string {
	out := make([]string, 0, len(paths))
	for _, p := range paths {
		out = append(out, target.CleanPath(p))
	}
	return out
}

// volumes is what a target says about its volumes.
type volumes struct {
	mounts []corev1.VolumeMount
	paths  []string
	// at is where the paths stand.
	at *field.Path
	// draft tells that the draft's form names the paths.
	draft bool
}

func mountExample(volumes []string) string {
	name := "data"
	if len(volumes) > 0 {
		name = volumes[0]
	}
	return fmt.Sprintf("; for example {name: %s, mountPath: /source/data}", name)
}

// mounted are the places where volumes are mounted, in their order and to be looked up.
type mounted struct {
	places  []string
	folders target.Folders
}

func mountedAt(mounts []corev1.VolumeMount) mounted {
	places := make([]string, 0, len(mounts))
	for i := range mounts {
		places = append(places, path.Clean(mounts[i].MountPath))
	}
	return mounted{places, target.NewFolders(places)}
}

// list names the first of a list.
func list(names []string) string {
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > maxNamed:
		return fmt.Sprintf("%s and %d others", strings.Join(names[:maxNamed], ", "), len(names)-maxNamed)
	}
	return strings.Join(names, ", ")
}

// patterns checks patterns of restic.
func (r *Result) patterns(patterns []string, at *field.Path) {
	for i, p := range patterns {
		if err := restic.CheckPattern(p); err != nil {
			r.add(field.Invalid(at.Index(i), p[:min(len(p), restic.MaxPattern)], fmt.Sprintf("%s; for example *.tmp or /source/data/cache", err)))
		}
	}
}
