package mutators

import (
	"cmp"
	"encoding/json"
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
	at        places
}

// places are the indexes of what a union holds: of mounts and backends by path, of variables by name, of
// their sources by what they say. Tenants write thousands of each, in many configurations.
type places struct{ mounts, locals, env, sources map[string]int }

// newUnion is of nothing yet.
func newUnion() union {
	return union{at: places{map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}}}
}

// sort puts what has no order into one, when all wishes are added.
func (u *union) sort() {
	slices.SortFunc(u.Mounts, func(a, b corev1.VolumeMount) int { return cmp.Compare(a.MountPath, b.MountPath) })
	slices.SortFunc(u.Locals, func(a, b local) int { return cmp.Compare(a.Path, b.Path) })
}

// add has the union cover w too, or says why it cannot, and is then as it was.
func (u *union) add(w wish) *Problem {
	mounts, locals, container := len(u.Mounts), len(u.Locals), u.Container
	p := u.take(w)
	if p == nil {
		u.count++
		return nil
	}
	// What was added is at the end of each list.
	for _, m := range u.Mounts[mounts:] {
		delete(u.at.mounts, m.MountPath)
	}
	for _, l := range u.Locals[locals:] {
		delete(u.at.locals, l.Path)
	}
	for _, e := range u.Container.Env[len(container.Env):] {
		delete(u.at.env, e.Name)
	}
	for _, e := range u.Container.EnvFrom[len(container.EnvFrom):] {
		delete(u.at.sources, sourceKey(e))
	}
	u.Mounts, u.Locals, u.Container = u.Mounts[:mounts], u.Locals[:locals], container
	return p
}

// take adds what w asks for up to what cannot be added. Whatever is not a list at whose end it adds, it
// changes last.
func (u *union) take(w wish) *Problem {
	for _, m := range w.mounts {
		if p := u.mount(m); p != nil {
			return p
		}
	}
	if w.local != nil {
		if p := u.backend(local{Source: w.local.VolumeSource, Path: path.Clean(w.local.MountPath), SubPath: strings.Trim(path.Clean("/"+w.local.SubPath), "/")}); p != nil {
			return p
		}
	}
	if p := u.settings(w.runtime.Container); p != nil {
		return p
	}
	u.temporary(w.temp)
	if w.runtime.Pod != nil {
		u.secrets = append(u.secrets, w.runtime.Pod.ImagePullSecrets...)
	}
	return nil
}

func (u *union) mount(m corev1.VolumeMount) *Problem {
	m.MountPath = path.Clean(m.MountPath)
	if i, taken := u.at.mounts[m.MountPath]; taken {
		other := u.Mounts[i]
		if equality.Semantic.DeepEqual(other, m) {
			return nil
		}
		return problem(ProblemMountConflict, "volume %q is to be mounted at %s, where another configuration of this workload mounts volume %q differently: use the same volume, subPath and options, or another path", m.Name, m.MountPath, other.Name)
	}
	if _, taken := u.at.locals[m.MountPath]; taken {
		return backendConflict(m.MountPath)
	}
	u.at.mounts[m.MountPath] = len(u.Mounts)
	u.Mounts = append(u.Mounts, m)
	return nil
}

func (u *union) backend(l local) *Problem {
	if i, taken := u.at.locals[l.Path]; taken {
		if equality.Semantic.DeepEqual(u.Locals[i], l) {
			return nil
		}
		return problem(ProblemMountConflict, "two Repositories of this workload mount different volumes at %s: give one of them another spec.backend.local.mountPath", l.Path)
	}
	if _, taken := u.at.mounts[l.Path]; taken {
		return backendConflict(l.Path)
	}
	u.at.locals[l.Path] = len(u.Locals)
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
func (u *union) settings(c *v1beta1.ContainerRuntimeSettings) *Problem {
	if c == nil {
		return nil
	}
	if p := u.environment(c); p != nil {
		return p
	}
	out := &u.Container
	for _, field := range []struct {
		name string
		same bool
	}{
		{"securityContext", same(&out.SecurityContext, c.SecurityContext)},
		{"livenessProbe", same(&out.LivenessProbe, c.LivenessProbe)},
		{"readinessProbe", same(&out.ReadinessProbe, c.ReadinessProbe)},
		{"lifecycle", same(&out.Lifecycle, c.Lifecycle)},
	} {
		if !field.same {
			return problem(ProblemSettings, "spec.runtimeSettings.container.%s differs from that of another configuration of this workload, and they share one container: use the same or set it in one of them", field.name)
		}
	}
	larger(&out.Resources.Requests, c.Resources.Requests)
	larger(&out.Resources.Limits, c.Resources.Limits)
	if len(c.Resources.Claims) > 0 {
		out.Resources.Claims = c.Resources.Claims
	}
	return nil
}

// environment adds variables, and where they come from.
func (u *union) environment(c *v1beta1.ContainerRuntimeSettings) *Problem {
	out := &u.Container
	for _, e := range c.Env {
		i, taken := u.at.env[e.Name]
		switch {
		case !taken:
			u.at.env[e.Name] = len(out.Env)
			out.Env = append(out.Env, e)
		case !equality.Semantic.DeepEqual(out.Env[i], e):
			return problem(ProblemSettings, "environment variable %s has another value in another configuration of this workload, and they share one container: set it in one of them", e.Name)
		}
	}
	for _, e := range c.EnvFrom {
		key := sourceKey(e)
		if _, taken := u.at.sources[key]; !taken {
			u.at.sources[key] = len(out.EnvFrom)
			out.EnvFrom = append(out.EnvFrom, e)
		}
	}
	return nil
}

// sourceKey is what a source of variables says, to tell it from others.
func sourceKey(e corev1.EnvFromSource) string {
	text, err := json.Marshal(e)
	if err != nil {
		return e.Prefix // strings and flags can be encoded
	}
	return string(text)
}

func same[T any](have **T, want *T) bool {
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
	variables := w.variables()
	for _, m := range w.mounts {
		if p := w.checkMount(m, volumes, variables); p != nil {
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

func (w wish) checkMount(m corev1.VolumeMount, volumes, variables map[string]bool) *Problem {
	switch {
	case !volumes[m.Name]:
		return problem(ProblemNoVolume, "volume %q is not in the pod template, which has %s", m.Name, quoted(volumes))
	case Hides(m.MountPath):
		return reserved(m.MountPath)
	case m.MountPropagation != nil && *m.MountPropagation == corev1.MountPropagationBidirectional && !privileged(w.runtime.Container):
		return problem(ProblemPropagation, "volume %q is to be mounted with mountPropagation Bidirectional, which only privileged containers may: use HostToContainer", m.Name)
	}
	if w.runtime.Container != nil && len(w.runtime.Container.EnvFrom) > 0 {
		return nil
	}
	for _, match := range variable.FindAllStringSubmatch(m.SubPathExpr, -1) {
		if !strings.HasPrefix(match[0], "$$") && !variables[match[1]] {
			return problem(ProblemSubPath, "subPathExpr %q uses %s, which our container does not have: add it to spec.runtimeSettings.container.env", m.SubPathExpr, match[1])
		}
	}
	return nil
}

// variables are those that the container will have, but for those of ConfigMaps and Secrets.
func (w wish) variables() map[string]bool {
	all := ownEnv()
	if w.runtime.Container != nil {
		all = append(all, w.runtime.Container.Env...)
	}
	out := make(map[string]bool, len(all))
	for _, e := range all {
		out[e.Name] = true
	}
	return out
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
