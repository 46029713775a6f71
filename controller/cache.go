package controller

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/target"
)

// Names of indexes in the cache.
const (
	indexOwner      = "stash.owner"      // UID of the controlling owner
	indexTarget     = "stash.target"     // kind/namespace/name of the target
	indexTargetIn   = "stash.targetIn"   // namespace of the target
	indexInvoker    = "stash.invoker"    // name of the configuration of a session
	indexRepository = "stash.repository" // namespace/name of the Repository
	indexLocation   = "stash.location"   // of a Repository, see location
	indexPod        = "stash.pod"        // UIDs of pods with assignments or work
	indexHash       = "stash.hash"       // restore label's value
	indexUID        = "stash.uid"        // UID of a session
	indexClaim      = "stash.claim"      // names of the claims that a pod mounts
	indexSession    = "stash.session"    // of a Job of ours and its pods: UID of the session
)

func replicaSetKind() schema.GroupVersionKind {
	return appsv1.SchemeGroupVersion.WithKind("ReplicaSet")
}

// CacheOptions keeps of each object what is read: pods, the most numerous, lose most.
func CacheOptions() cache.Options {
	managed := labels.SelectorFromSet(labels.Set{api.LabelManagedBy: api.ManagedBy})
	return cache.Options{
		DefaultTransform: stripMeta,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}:  {Transform: stripPod},
			&batchv1.Job{}: {Label: managed},
			&corev1.Node{}: {Transform: stripNode},
			// Only by this name may ConfigMaps be read.
			&corev1.ConfigMap{}: {Field: fields.OneTermEqualSelector("metadata.name", api.ConfigMapCA)},
		},
	}
}

func stripMeta(o any) (any, error) {
	if m, ok := o.(metav1.Object); ok {
		m.SetManagedFields(nil)
	}
	return o, nil
}

// ClientOptions name the kinds that are never cached: Secrets must not be listed, the others are
// rarely read.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{
		&corev1.Secret{}, &corev1.PersistentVolumeClaim{}, &coordinationv1.Lease{},
	}}}
}

// stripNode leaves the kubelet's version.
func stripNode(o any) (any, error) {
	n, ok := o.(*corev1.Node)
	if !ok {
		return o, nil
	}
	n.ManagedFields, n.Annotations, n.Spec = nil, nil, corev1.NodeSpec{}
	n.Status = corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KubeletVersion: n.Status.NodeInfo.KubeletVersion}}
	return n, nil
}

// stripPod leaves what sessions and injection read.
func stripPod(o any) (any, error) {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	p.ManagedFields = nil
	p.Annotations = nil
	p.Spec = corev1.PodSpec{
		NodeName:       p.Spec.NodeName,
		Hostname:       p.Spec.Hostname,
		Volumes:        stripVolumes(p.Spec.Volumes),
		InitContainers: stripContainers(p.Spec.InitContainers),
		Containers:     stripContainers(p.Spec.Containers),
	}
	p.Status = corev1.PodStatus{
		Phase:                 p.Status.Phase,
		Reason:                p.Status.Reason,
		Conditions:            stripConditions(p.Status.Conditions),
		InitContainerStatuses: stripStatuses(p.Status.InitContainerStatuses),
		ContainerStatuses:     stripStatuses(p.Status.ContainerStatuses),
	}
	return p, nil
}

// stripVolumes keeps the volumes that may hold data.
func stripVolumes(in []corev1.Volume) []corev1.Volume {
	var out []corev1.Volume
	for _, v := range in {
		if v.ConfigMap == nil && v.Secret == nil && v.Projected == nil && v.DownwardAPI == nil && v.Image == nil {
			out = append(out, v)
		}
	}
	return out
}

// stripContainers keeps of our containers what repair compares, of others the name and mounts.
func stripContainers(in []corev1.Container) []corev1.Container {
	out := make([]corev1.Container, len(in))
	for i, c := range in {
		out[i] = corev1.Container{Name: c.Name}
		if ours(c.Name) {
			out[i].Image, out[i].VolumeMounts = c.Image, c.VolumeMounts
		}
	}
	return out
}

func stripConditions(in []corev1.PodCondition) []corev1.PodCondition {
	var out []corev1.PodCondition
	for _, c := range in {
		switch {
		case c.Type == corev1.PodReady:
			out = append(out, corev1.PodCondition{Type: c.Type, Status: c.Status})
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse:
			out = append(out, corev1.PodCondition{Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message})
		}
	}
	return out
}

// ours tells whether a container is an agent.
func ours(name string) bool {
	return slices.Contains([]string{api.ContainerSidecar, api.ContainerRestore, api.ContainerWorker, api.ContainerJob}, name)
}

// stripStatuses keeps the statuses of our own containers.
func stripStatuses(in []corev1.ContainerStatus) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for _, s := range in {
		if ours(s.Name) {
			kept := corev1.ContainerStatus{Name: s.Name, State: s.State, RestartCount: s.RestartCount, Ready: s.Ready}
			if t := s.LastTerminationState.Terminated; t != nil {
				kept.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: t.Reason, ExitCode: t.ExitCode}
			}
			out = append(out, kept)
		}
	}
	return out
}

// index is one way to look objects up in the cache.
type index struct {
	obj  client.Object
	name string
	fn   client.IndexerFunc
}

// of makes an index of a function of one kind.
func of[T client.Object](fn func(T) []string) client.IndexerFunc {
	return func(o client.Object) []string {
		if t, ok := o.(T); ok {
			return fn(t)
		}
		return nil
	}
}

// AddIndexes registers all indexes.
func AddIndexes(ctx context.Context, f client.FieldIndexer) error {
	for _, i := range indexes() {
		if err := f.IndexField(ctx, i.obj, i.name, i.fn); err != nil {
			return fmt.Errorf("index %T by %s: %w", i.obj, i.name, err)
		}
	}
	return nil
}

func indexes() []index {
	sets := &metav1.PartialObjectMetadata{}
	sets.SetGroupVersionKind(replicaSetKind())
	return []index{
		{&corev1.Pod{}, indexOwner, ownerUID},
		{&batchv1.Job{}, indexSession, sessionUID},
		{&corev1.Pod{}, indexSession, sessionUID},
		{&corev1.Pod{}, indexClaim, of(claimNames)},
		{sets, indexOwner, ownerUID},
		{&v1beta1.BackupConfiguration{}, indexTarget, of(func(c *v1beta1.BackupConfiguration) []string {
			if t := c.Spec.Target; t != nil {
				return []string{target.KeyOf(t.Ref, c.Namespace)}
			}
			return nil
		})},
		{&v1beta1.BackupConfiguration{}, indexTargetIn, of(func(c *v1beta1.BackupConfiguration) []string {
			if t := c.Spec.Target; t != nil {
				return []string{target.Namespace(t.Ref, c.Namespace)}
			}
			return nil
		})},
		{&v1beta1.RestoreSession{}, indexTarget, of(func(rs *v1beta1.RestoreSession) []string {
			if t := rs.Spec.Target; t != nil {
				return []string{target.KeyOf(t.Ref, rs.Namespace)}
			}
			return nil
		})},
		{&v1beta1.RestoreSession{}, indexTargetIn, of(restoredWhere)},
		{&v1beta1.BackupConfiguration{}, indexRepository, of(func(c *v1beta1.BackupConfiguration) []string {
			return []string{repositoryKey(c.Spec.Repository, c.Namespace)}
		})},
		{&v1beta1.RestoreSession{}, indexRepository, of(func(rs *v1beta1.RestoreSession) []string {
			return []string{repositoryKey(rs.Spec.Repository, rs.Namespace)}
		})},
		{&v1beta1.BackupSession{}, indexInvoker, of(func(bs *v1beta1.BackupSession) []string {
			return []string{bs.Spec.InvokerRef().Name}
		})},
		{&v1beta1.BackupSession{}, indexPod, of(func(bs *v1beta1.BackupSession) []string {
			if len(bs.Status.Targets) == 0 {
				return nil
			}
			return assignedPods(bs.Status.Targets[0].Assignments)
		})},
		{&v1beta1.BackupSession{}, indexUID, func(o client.Object) []string { return []string{string(o.GetUID())} }},
		{&v1beta1.RestoreSession{}, indexHash, func(o client.Object) []string {
			return []string{mutators.HashRestore(string(o.GetUID()))}
		}},
		{&v1alpha1.Repository{}, indexLocation, of(func(r *v1alpha1.Repository) []string {
			if loc := location(r); loc != "" {
				return []string{loc}
			}
			return nil
		})},
		{&v1alpha1.Repository{}, indexPod, of(func(r *v1alpha1.Repository) []string {
			if w := r.Status.Work; w != nil && w.PodUID != "" {
				return []string{w.PodUID}
			}
			return nil
		})},
	}
}

func ownerUID(o client.Object) []string {
	if ref := metav1.GetControllerOfNoCopy(o); ref != nil {
		return []string{string(ref.UID)}
	}
	return nil
}

// restoredWhere is the namespace of a restore's target.
func restoredWhere(rs *v1beta1.RestoreSession) []string {
	if t := rs.Spec.Target; t != nil {
		return []string{target.Namespace(t.Ref, rs.Namespace)}
	}
	return nil
}

func sessionUID(o client.Object) []string {
	if uid := o.GetLabels()[api.LabelSession]; uid != "" {
		return []string{uid}
	}
	return nil
}

func repositoryKey(ref v1beta1.KindRepositoryRef, namespace string) string {
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	return namespace + "/" + ref.Name
}

func assignedPods(list []v1beta1.Assignment) []string {
	pods := make([]string, 0, len(list))
	for _, a := range list {
		pods = append(pods, a.PodUID)
	}
	return pods
}
