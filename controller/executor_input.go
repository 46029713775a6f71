package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/target"
)

// backupPod makes the pod that backs up a target without pods of its own.
func (w *World) backupPod(ctx context.Context, c *v1beta1.BackupConfiguration, obj client.Object, kind target.Kind, repo *v1alpha1.Repository, uid string) (corev1.PodTemplateSpec, *mutators.Problem, error) {
	spec, _ := c.Spec.Shipped()
	in := mutators.JobInput{
		Name: c.Namespace + "/" + c.Name, Session: uid,
		Mounts: spec.Target.VolumeMounts, Runtime: spec.RuntimeSettings, TempDir: spec.TempDir,
	}
	return w.jobPod(ctx, in, obj, kind, repo)
}

// restorePod makes the pod that restores a target without pods of its own.
func (w *World) restorePod(ctx context.Context, rs *v1beta1.RestoreSession, obj client.Object, kind target.Kind, repo *v1alpha1.Repository) (corev1.PodTemplateSpec, *mutators.Problem, error) {
	spec, _ := rs.Spec.Shipped()
	in := mutators.JobInput{
		Name: rs.Namespace + "/" + rs.Name, Session: string(rs.UID), Restores: true,
		Mounts: spec.Target.VolumeMounts, Runtime: spec.RuntimeSettings, TempDir: spec.TempDir,
	}
	return w.jobPod(ctx, in, obj, kind, repo)
}

func (w *World) jobPod(ctx context.Context, in mutators.JobInput, obj client.Object, kind target.Kind, repo *v1alpha1.Repository) (corev1.PodTemplateSpec, *mutators.Problem, error) {
	var none corev1.PodTemplateSpec
	if t := kind.PodTemplate(obj); t != nil {
		in.Volumes = t.Spec.Volumes
	}
	if repo != nil {
		in.Local = repo.Spec.Backend.Local
	}
	var err error
	if in.Settings, err = w.settings(ctx, obj.GetNamespace()); err != nil {
		return none, nil, err
	}
	if in.Namespace, err = w.namespaceOf(ctx, obj.GetNamespace()); err != nil {
		return none, nil, err
	}
	if claim, ok := obj.(*corev1.PersistentVolumeClaim); ok {
		if in.Node, err = w.nodeOf(ctx, claim); err != nil {
			return none, nil, err
		}
	}
	pod, problem := mutators.NewJob(in)
	return pod, problem, nil
}

// nodeOf returns the node that a claim is in use on, where pods of other nodes cannot mount it as well;
// empty where it is not in use, or can be mounted anywhere.
func (w *World) nodeOf(ctx context.Context, claim *corev1.PersistentVolumeClaim) (string, error) {
	if slices.ContainsFunc(claim.Spec.AccessModes, func(m corev1.PersistentVolumeAccessMode) bool {
		return m == corev1.ReadWriteMany || m == corev1.ReadOnlyMany
	}) {
		return "", nil
	}
	pods, err := w.usersOfClaim(ctx, claim.Namespace, claim.Name)
	if err != nil {
		return "", err
	}
	// One that is on its way out may be on a node that is gone, and Jobs of ours come and go.
	pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || p.Spec.NodeName == "" || p.Labels[api.LabelSession] != ""
	})
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(readiness(&b), readiness(&a)), older(&a, &b))
	})
	if len(pods) == 0 {
		return "", nil
	}
	return pods[0].Spec.NodeName, nil
}

// readiness is 1 for a pod that is ready.
func readiness(p *corev1.Pod) int {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return 1
		}
	}
	return 0
}

// usersOfClaim are the living pods that mount a claim, from the cache.
func (w *World) usersOfClaim(ctx context.Context, namespace, name string) ([]corev1.Pod, error) {
	list := &corev1.PodList{}
	if err := w.List(ctx, list, client.InNamespace(namespace), client.MatchingFields{indexClaim: name}); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return terminal(&p) }), nil
}

// claimNames are the claims that a pod mounts.
func claimNames(p *corev1.Pod) []string {
	var out []string
	for i := range p.Spec.Volumes {
		if claim := target.LastingVolume(p, &p.Spec.Volumes[i]).Claim; claim != "" && !slices.Contains(out, claim) {
			out = append(out, claim)
		}
	}
	return out
}

// inUseBy names the living pods that use a target, where that is a claim.
func (w *World) inUseBy(ctx context.Context, ref v1beta1.TargetRef, own string) ([]string, error) {
	if !ref.IsClaim() {
		return nil, nil
	}
	pods, err := w.usersOfClaim(ctx, target.Namespace(ref, own), ref.Name)
	out := make([]string, 0, len(pods))
	for i := range pods {
		if pods[i].Labels[api.LabelSession] == "" { // a backup's Job leaves by itself
			out = append(out, pods[i].Name)
		}
	}
	slices.Sort(out)
	return out, err
}
