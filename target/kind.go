// Package target lists what can be backed up, one file a kind, and answers questions about such an
// object: its pod template, the hosts its snapshots are stored under, the volumes of its pods, and
// which mounts reach a path. A new kind is one file and one line in All.
//
// It decides nothing about backups and reads nothing but the values it is given.
package target

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Model is how a kind is backed up.
type Model string

// Values of Model.
const (
	// ModelSidecar backs up from a sidecar and restores from an init-container of the kind's pods.
	ModelSidecar Model = "Sidecar"
	// ModelJob backs up and restores from a Job.
	ModelJob Model = "Job"
)

// ErrNotSupportedYet says that Stash knows the kind and cannot back it up yet.
var ErrNotSupportedYet = errors.New("not supported yet")

// ErrUnknownKind says that there is no such kind.
var ErrUnknownKind = errors.New("no such kind")

// Kind is one kind of object that can be backed up.
type Kind struct {
	// GVK of the kind in the version that Stash reads.
	GVK schema.GroupVersionKind
	// Resource is the lower-case plural, for example deployments.
	Resource string
	// Short begins the names of what an annotation expands into, for example deploy.
	Short string
	// Model is how it is backed up.
	Model Model
	// Supported is false for kinds whose time comes later.
	Supported bool

	newObject func() runtime.Object
	// template returns the pod template inside obj, nil where obj is of another kind.
	template func(obj runtime.Object) *corev1.PodTemplateSpec
	// claims returns the names of volumes that are not in the pod template.
	claims func(obj runtime.Object) []string
	// hosts returns the hosts of obj under a prefix, as far as obj alone tells them.
	hosts func(obj runtime.Object, alias string) []string
	// hostFor returns the host of one pod.
	hostFor func(alias, podName, nodeName string) (string, error)
	// apart tells whether a volume of a pod of obj is its host's alone and outlives the pod; nil: none is.
	apart func(obj runtime.Object, pod string, v Lasting) bool
	// hostCount returns how many hosts obj has.
	hostCount func(obj runtime.Object) int32
	rollout   func(obj runtime.Object) Rollout
}

// Rollout says what keeps the pods of a workload from following its template.
type Rollout struct {
	// Paused is a Deployment's spec.paused.
	Paused bool
	// OnDelete means that pods are replaced only when somebody deletes them.
	OnDelete bool
	// Partition is the lowest ordinal of a StatefulSet that follows the template; 0 for all.
	Partition int32
	// Pods is how many the workload wants.
	Pods int32
}

// All returns every kind, the supported ones first.
func All() []Kind {
	return []Kind{
		Deployment(),
		StatefulSet(),
		DaemonSet(),
		PersistentVolumeClaim(),
		AppBinding(),
		ReplicaSet(),
		ReplicationController(),
		Pod(),
		DeploymentConfig(),
	}
}

// Workloads returns the supported kinds of the sidecar model.
func Workloads() []Kind {
	return slices.DeleteFunc(All(), func(k Kind) bool { return !k.Supported || k.Model != ModelSidecar })
}

// GVR returns the kind's resource.
func (k Kind) GVR() schema.GroupVersionResource { return k.GVK.GroupVersion().WithResource(k.Resource) }

// String returns the kind as people write it, for example Deployment.
func (k Kind) String() string { return k.GVK.Kind }

// New returns an empty object of the kind, or nil if the kind is not supported yet.
func (k Kind) New() runtime.Object {
	if k.newObject == nil {
		return nil
	}
	return k.newObject()
}

// PodTemplate returns the pod template inside obj, so that a change to it changes obj; nil if obj is
// of another kind or has none. Of a kind of the Job model it is what obj decides of the Job's.
func (k Kind) PodTemplate(obj runtime.Object) *corev1.PodTemplateSpec {
	if k.template == nil {
		return nil
	}
	return k.template(obj)
}

// Volumes returns the names of the volumes in obj's pods, in the order of the pod template, claims
// of volumeClaimTemplates last.
func (k Kind) Volumes(obj runtime.Object) []string {
	t := k.PodTemplate(obj)
	if t == nil {
		return nil
	}
	var names []string
	for i := range t.Spec.Volumes {
		names = append(names, t.Spec.Volumes[i].Name)
	}
	return k.withTemplates(names, obj)
}

// withTemplates adds the names of volumeClaimTemplates to those of volumes.
func (k Kind) withTemplates(names []string, obj runtime.Object) []string {
	if k.claims == nil {
		return names
	}
	has := make(map[string]bool, len(names))
	for _, name := range names {
		has[name] = true
	}
	for _, name := range k.claims(obj) {
		if !has[name] {
			has[name] = true
			names = append(names, name)
		}
	}
	return names
}

// Claims returns the names of those volumes in obj's pods that are PersistentVolumeClaims and can be
// written to, those of volumeClaimTemplates last.
func (k Kind) Claims(obj runtime.Object) []string {
	var names []string
	if t := k.PodTemplate(obj); t != nil {
		for i := range t.Spec.Volumes {
			if c := t.Spec.Volumes[i].PersistentVolumeClaim; c != nil && !c.ReadOnly {
				names = append(names, t.Spec.Volumes[i].Name)
			}
		}
	}
	return k.withTemplates(names, obj)
}

// HostFor returns the host under which snapshots of a pod are stored. The alias replaces "host"; an
// empty one is the default. It is an error if the pod's name or node does not fit the kind.
func (k Kind) HostFor(alias, podName, nodeName string) (string, error) {
	if k.hostFor == nil {
		return single(alias), nil
	}
	return k.hostFor(alias, podName, nodeName)
}

// Hosts returns the hosts of obj's pods, MaxHosts at most. A DaemonSet's are named after nodes, which obj does not
// know: it has none here.
func (k Kind) Hosts(obj runtime.Object, alias string) []string {
	if k.hosts == nil {
		return []string{single(alias)}
	}
	return k.hosts(obj, alias)
}

// HostCount returns how many hosts a session on obj has; a DaemonSet's as its status says.
func (k Kind) HostCount(obj runtime.Object) int32 {
	if k.hostCount == nil {
		return 1
	}
	return k.hostCount(obj)
}

// Rollout returns what keeps obj's pods from following its template.
func (k Kind) Rollout(obj runtime.Object) Rollout {
	if k.rollout == nil {
		return Rollout{}
	}
	return k.rollout(obj)
}

// Of returns the supported kind of a typed object, and false if there is none.
func Of(obj runtime.Object) (Kind, bool) {
	for _, k := range All() {
		if k.PodTemplate(obj) != nil {
			return k, true
		}
	}
	return Kind{}, false
}

// Find returns the supported kind of that API version and name. The version inside a group does not
// matter, and an empty apiVersion means the kind of that name. Kinds whose time comes later, and
// those that Stash does not know, are ErrNotSupportedYet; a kind that certainly does not exist,
// being misspelt in apps or of the wrong group, is ErrUnknownKind.
func Find(apiVersion, kind string) (Kind, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return Kind{}, fmt.Errorf("%w: apiVersion %q is not <group>/<version>", ErrUnknownKind, apiVersion)
	}
	// All kinds of the group apps are known, and so is what a name stands for in any group.
	known := apiVersion == "" || gv.Group == Deployment().GVK.Group
	for _, k := range All() {
		if k.GVK.Kind != kind {
			continue
		}
		if apiVersion != "" && k.GVK.Group != gv.Group {
			known = known || gv.Group == ""
			continue
		}
		if !k.Supported {
			return k, fmt.Errorf("a target of kind %s is %w; supported are %s", kind, ErrNotSupportedYet, supported())
		}
		return k, nil
	}
	if known {
		return Kind{}, fmt.Errorf("%w: %q in %q; supported are %s", ErrUnknownKind, kind, apiVersion, supported())
	}
	return Kind{}, fmt.Errorf("a target of kind %s in %q is %w; supported are %s", kind, apiVersion, ErrNotSupportedYet, supported())
}

func supported() string {
	var names []string
	for _, k := range All() {
		if k.Supported {
			names = append(names, k.GVK.Kind)
		}
	}
	return strings.Join(names, ", ")
}
