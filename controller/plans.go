package controller

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/target"
)

// settings are those of the agents in pods of a namespace.
func (w *World) settings(ctx context.Context, namespace string) (mutators.Settings, error) {
	secrets, err := w.pullSecretsIn(ctx, namespace)
	return mutators.Settings{
		Image: w.Image, ImagePullPolicy: w.ImagePullPolicy, PullSecrets: secrets,
		BrokerAddress: w.BrokerAddress, ServerName: w.BrokerName,
		NativeSidecar: w.Native.Load(), InjectionVersion: injectionVersion,
	}, err
}

// injectionVersion is raised where running pods must get something that new ones have.
const injectionVersion = 1

// planOf makes the plan of a workload from given configurations, stored or only expanded.
func (w *World) planOf(ctx context.Context, obj client.Object, kind target.Kind, configs []v1beta1.BackupConfiguration) (mutators.Plan, []mutators.Problem, error) {
	in := mutators.BackupInput{Template: *kind.PodTemplate(obj), ClaimTemplates: claimTemplates(obj)}
	for i := range configs {
		c := &configs[i]
		spec, _ := c.Spec.Shipped()
		if spec.Task.Name != "" || spec.Driver == v1beta1.DriverVolumeSnapshotter || spec.Target == nil {
			continue
		}
		if len(spec.Target.VolumeMounts) == 0 {
			spec.Target.VolumeMounts, _ = target.MountsFor(kind.PodTemplate(obj), spec.Target.Paths)
		}
		conf := mutators.Configuration{Name: c.Namespace + "/" + c.Name, Spec: spec}
		repo, err := w.Repository(ctx, spec.Repository, c.Namespace)
		if err != nil {
			return mutators.Plan{}, nil, err
		}
		if repo != nil {
			conf.Local = repo.Spec.Backend.Local
		}
		in.Configurations = append(in.Configurations, conf)
	}
	if len(in.Configurations) == 0 {
		return mutators.Plan{}, nil, nil
	}
	var err error
	if in.Settings, err = w.settings(ctx, obj.GetNamespace()); err != nil {
		return mutators.Plan{}, nil, err
	}
	if in.Namespace, err = w.namespaceOf(ctx, obj.GetNamespace()); err != nil {
		return mutators.Plan{}, nil, err
	}
	plan, problems := mutators.NewBackupPlan(in)
	return plan, problems, nil
}

// restoreMounts are the mounts of a restore: those that it names, or else the application's own at its paths.
func restoreMounts(template *corev1.PodTemplateSpec, spec v1beta1.RestoreSessionSpec) []corev1.VolumeMount {
	if len(spec.Target.VolumeMounts) > 0 {
		return spec.Target.VolumeMounts
	}
	var paths []string
	for _, r := range spec.Target.Rules {
		paths = append(paths, r.Paths...)
	}
	mounts, _ := target.MountsFor(template, paths)
	return mounts
}

// restorePlan makes the plan of a workload's pods for a restore.
func (w *World) restorePlan(ctx context.Context, obj client.Object, kind target.Kind, rs *v1beta1.RestoreSession) (mutators.Plan, []mutators.Problem, error) {
	spec, _ := rs.Spec.Shipped()
	if spec.Target != nil {
		spec.Target.VolumeMounts = restoreMounts(kind.PodTemplate(obj), spec)
	}
	in := mutators.RestoreInput{
		Template: *kind.PodTemplate(obj), ClaimTemplates: claimTemplates(obj),
		Name: rs.Namespace + "/" + rs.Name, UID: string(rs.UID), Spec: spec,
	}
	repo, err := w.Repository(ctx, spec.Repository, rs.Namespace)
	if err != nil {
		return mutators.Plan{}, nil, err
	}
	if repo != nil {
		in.Local = repo.Spec.Backend.Local
	}
	if in.Settings, err = w.settings(ctx, obj.GetNamespace()); err != nil {
		return mutators.Plan{}, nil, err
	}
	if in.Namespace, err = w.namespaceOf(ctx, obj.GetNamespace()); err != nil {
		return mutators.Plan{}, nil, err
	}
	plan, problems := mutators.NewRestorePlan(in)
	return plan, problems, nil
}

// namespaceOf reads what a namespace asks of pods.
func (w *World) namespaceOf(ctx context.Context, name string) (mutators.Namespace, error) {
	ns := &corev1.Namespace{}
	if err := w.Get(ctx, client.ObjectKey{Name: name}, ns); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return mutators.Namespace{}, nil
		}
		return mutators.Namespace{}, fmt.Errorf("read namespace: %w", err)
	}
	quotas := &corev1.ResourceQuotaList{}
	if err := w.List(ctx, quotas, client.InNamespace(name)); err != nil {
		return mutators.Namespace{}, fmt.Errorf("list quotas: %w", err)
	}
	out := mutators.Namespace{PodSecurity: mutators.Level(ns.Labels["pod-security.kubernetes.io/enforce"])}
	for i := range quotas.Items {
		for resource := range quotas.Items[i].Spec.Hard {
			out.LimitsRequired = out.LimitsRequired || strings.HasPrefix(string(resource), "limits.")
		}
	}
	return out, nil
}

// claimTemplates names the volumes that a StatefulSet's pods get beside those of the template.
func claimTemplates(obj client.Object) []string {
	sts, ok := obj.(*appsv1.StatefulSet)
	if !ok {
		return nil
	}
	var names []string
	for i := range sts.Spec.VolumeClaimTemplates {
		names = append(names, sts.Spec.VolumeClaimTemplates[i].Name)
	}
	return names
}
