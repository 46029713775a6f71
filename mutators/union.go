package mutators

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// wish is what one configuration or restore asks for.
type wish struct {
	name    string
	mounts  []corev1.VolumeMount
	local   *v1alpha1.LocalSpec
	runtime v1beta1.RuntimeSettings
	temp    v1beta1.EmptyDirSettings
}

// local is the volume of a backend.
type local struct {
	Source corev1.VolumeSource `json:"source"`
	Path   string              `json:"path"`
	// SubPath of the volume, as the worker mounts it.
	SubPath string `json:"subPath,omitempty"`
}

// union is what all wishes of one container ask for together. Its exported fields are what the user
// chose: their encoding is hashed, so each is sorted where order has no meaning.
type union struct {
	Mounts    []corev1.VolumeMount             `json:"mounts"`
	Locals    []local                          `json:"locals,omitempty"`
	Container v1beta1.ContainerRuntimeSettings `json:"container,omitzero"`
	Medium    corev1.StorageMedium             `json:"medium,omitempty"`
	SizeLimit *resource.Quantity               `json:"sizeLimit,omitempty"`
	secrets   []corev1.LocalObjectReference
	count     int
}

// with returns the union that covers w too, or why it cannot; the receiver is not changed.
func (u union) with(w wish) (union, *Problem) {
	out := u
	out.Mounts = slices.Clone(u.Mounts)
	out.Locals = slices.Clone(u.Locals)
	for _, m := range w.mounts {
		if p := out.mount(m); p != nil {
			return u, p
		}
	}
	if w.local != nil {
		if p := out.backend(local{Source: w.local.VolumeSource, Path: path.Clean(w.local.MountPath), SubPath: strings.Trim(path.Clean("/"+w.local.SubPath), "/")}); p != nil {
			return u, p
		}
	}
	if p := out.settings(w); p != nil {
		return u, p
	}
	out.temporary(w.temp)
	if w.runtime.Pod != nil {
		out.secrets = append(slices.Clone(u.secrets), w.runtime.Pod.ImagePullSecrets...)
	}
	slices.SortFunc(out.Mounts, func(a, b corev1.VolumeMount) int { return cmp.Compare(a.MountPath, b.MountPath) })
	slices.SortFunc(out.Locals, func(a, b local) int { return cmp.Compare(a.Path, b.Path) })
	out.count++
	return out, nil
}

func (u *union) mount(m corev1.VolumeMount) *Problem {
	m.MountPath = path.Clean(m.MountPath)
	for _, other := range u.Mounts {
		if other.MountPath != m.MountPath {
			continue
		}
		if equality.Semantic.DeepEqual(other, m) {
			return nil
		}
		return problem(ProblemMountConflict, "volume %q is to be mounted at %s, where another configuration of this workload mounts volume %q differently: use the same volume, subPath and options, or another path", m.Name, m.MountPath, other.Name)
	}
	for _, l := range u.Locals {
		if l.Path == m.MountPath {
			return backendConflict(m.MountPath)
		}
	}
	u.Mounts = append(u.Mounts, m)
	return nil
}

func (u *union) backend(l local) *Problem {
	for _, other := range u.Locals {
		if other.Path != l.Path {
			continue
		}
		if equality.Semantic.DeepEqual(other, l) {
			return nil
		}
		return problem(ProblemMountConflict, "two Repositories of this workload mount different volumes at %s: give one of them another spec.backend.local.mountPath", l.Path)
	}
	if slices.ContainsFunc(u.Mounts, func(m corev1.VolumeMount) bool { return m.MountPath == l.Path }) {
		return backendConflict(l.Path)
	}
	u.Locals = append(u.Locals, l)
	return nil
}

func backendConflict(at string) *Problem {
	return problem(ProblemMountConflict, "both the data and the Repository's local backend are to be mounted at %s: give the Repository another spec.backend.local.mountPath", at)
}

// temporary keeps the larger size; Memory holds only where all want it, since a cache that was meant
// for a disk would be charged to the container's memory.
func (u *union) temporary(t v1beta1.EmptyDirSettings) {
	if u.count == 0 {
		u.Medium = t.Medium
	} else if u.Medium != t.Medium {
		u.Medium = corev1.StorageMediumDefault
	}
	if t.SizeLimit != nil && (u.SizeLimit == nil || t.SizeLimit.Cmp(*u.SizeLimit) > 0) {
		u.SizeLimit = new(t.SizeLimit.DeepCopy())
	}
}

// settings joins the container settings: the larger resources, all variables, and the other fields
// of whoever sets them, as long as nobody sets them differently.
func (u *union) settings(w wish) *Problem {
	c := w.runtime.Container
	if c == nil {
		return nil
	}
	out := *u.Container.DeepCopy()
	larger(&out.Resources.Requests, c.Resources.Requests)
	larger(&out.Resources.Limits, c.Resources.Limits)
	if len(c.Resources.Claims) > 0 {
		out.Resources.Claims = c.Resources.Claims
	}
	for _, e := range c.Env {
		i := slices.IndexFunc(out.Env, func(o corev1.EnvVar) bool { return o.Name == e.Name })
		switch {
		case i < 0:
			out.Env = append(out.Env, e)
		case !equality.Semantic.DeepEqual(out.Env[i], e):
			return problem(ProblemSettings, "environment variable %s has another value in another configuration of this workload, and they share one container: set it in one of them", e.Name)
		}
	}
	for _, e := range c.EnvFrom {
		if !slices.ContainsFunc(out.EnvFrom, func(o corev1.EnvFromSource) bool { return equality.Semantic.DeepEqual(o, e) }) {
			out.EnvFrom = append(out.EnvFrom, e)
		}
	}
	for _, field := range []struct {
		name string
		same bool
	}{
		{"securityContext", join(&out.SecurityContext, c.SecurityContext)},
		{"livenessProbe", join(&out.LivenessProbe, c.LivenessProbe)},
		{"readinessProbe", join(&out.ReadinessProbe, c.ReadinessProbe)},
		{"lifecycle", join(&out.Lifecycle, c.Lifecycle)},
	} {
		if !field.same {
			return problem(ProblemSettings, "spec.runtimeSettings.container.%s differs from that of another configuration of this workload, and they share one container: use the same or set it in one of them", field.name)
		}
	}
	u.Container = out
	return nil
}

func join[T any](have **T, want *T) bool {
	if want == nil {
		return true
	}
	if *have == nil {
		*have = want
	}
	return equality.Semantic.DeepEqual(*have, want)
}

func larger(list *corev1.ResourceList, add corev1.ResourceList) {
	for name, q := range add {
		if old, ok := (*list)[name]; !ok || q.Cmp(old) > 0 {
			set(list, name, q)
		}
	}
}

// variable is a reference in a subPathExpr, or an escaped one.
var variable = regexp.MustCompile(`\$?\$\(([^)]*)\)`)

// check returns what is wrong with a wish by itself.
func (w wish) check(pod *corev1.PodSpec, volumes map[string]bool, level Level) *Problem {
	if len(w.mounts) == 0 {
		return problem(ProblemNoMounts, "no volume holds the data: name the volumes of the pod template in spec.target.volumeMounts (annotation %s: volume:/path)", api.AnnotationVolumeMounts)
	}
	if pod.OS != nil && pod.OS.Name == corev1.Windows {
		return problem(ProblemOS, "the pod runs on Windows: only Linux pods can be backed up")
	}
	for _, m := range w.mounts {
		if p := w.checkMount(m, volumes, privileged(w.runtime.Container)); p != nil {
			return p
		}
	}
	if w.local == nil {
		return nil
	}
	if Hides(w.local.MountPath) {
		return reserved(w.local.MountPath)
	}
	return checkSource(w.local.VolumeSource, level)
}

func (w wish) checkMount(m corev1.VolumeMount, volumes map[string]bool, privileged bool) *Problem {
	switch {
	case !volumes[m.Name]:
		return problem(ProblemNoVolume, "volume %q is not in the pod template, which has %s", m.Name, quoted(volumes))
	case Hides(m.MountPath):
		return reserved(m.MountPath)
	case m.MountPropagation != nil && *m.MountPropagation == corev1.MountPropagationBidirectional && !privileged:
		return problem(ProblemPropagation, "volume %q is to be mounted with mountPropagation Bidirectional, which only privileged containers may: use HostToContainer", m.Name)
	}
	if w.runtime.Container != nil && len(w.runtime.Container.EnvFrom) > 0 {
		return nil
	}
	for _, match := range variable.FindAllStringSubmatch(m.SubPathExpr, -1) {
		if !strings.HasPrefix(match[0], "$$") && !w.hasVariable(match[1]) {
			return problem(ProblemSubPath, "subPathExpr %q uses %s, which our container does not have: add it to spec.runtimeSettings.container.env", m.SubPathExpr, match[1])
		}
	}
	return nil
}

func (w wish) hasVariable(name string) bool {
	has := func(e corev1.EnvVar) bool { return e.Name == name }
	return slices.ContainsFunc(ownEnv(), has) || w.runtime.Container != nil && slices.ContainsFunc(w.runtime.Container.Env, has)
}

// checkSource is the restriction of volume types of Pod Security.
func checkSource(s corev1.VolumeSource, level Level) *Problem {
	allowed := s.ConfigMap != nil || s.CSI != nil || s.DownwardAPI != nil || s.EmptyDir != nil || s.Ephemeral != nil ||
		s.PersistentVolumeClaim != nil || s.Projected != nil || s.Secret != nil
	if level == Baseline && s.HostPath == nil || level != Baseline && level != Restricted || allowed {
		return nil
	}
	return problem(ProblemPodSecurity, "the Repository's local backend is a volume that Pod Security level %q forbids in this namespace: use a persistentVolumeClaim, or another backend", level)
}
