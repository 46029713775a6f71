package controller

import (
	"context"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/rollout"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

// observe gathers what rollout.Next decides on.
func (r *Workloads) observe(ctx context.Context, obj client.Object, configs []v1beta1.BackupConfiguration, plan mutators.Plan) (*rollout.Workload, error) {
	template := r.Kind.PodTemplate(obj)
	o := &rollout.Workload{
		Want: plan.Hash(), Have: template.Labels[api.LabelInject], Image: plan.Image(),
		Excluded:      target.Excluded(obj.GetNamespace(), r.Namespace),
		OnNextRollout: waits(configs), Lost: plan.Lost(&template.Spec, claimTemplates(obj)...),
		Rollout: r.Kind.Rollout(obj), Sidecar: remembered(configs, plan.Hash()),
	}
	pods, err := r.PodsOf(ctx, obj)
	if err != nil {
		return nil, err
	}
	for i := range pods {
		if v := r.view(&pods[i], api.ContainerSidecar); !v.Dead {
			o.Pods = append(o.Pods, rolloutPod(&pods[i], v, plan))
		}
	}
	if len(o.Pods) == 0 && o.Rollout.Pods > 0 && o.Want != "" && o.Have == o.Want {
		o.Refused, err = r.refusedOurs(ctx, obj, plan)
	}
	return o, err
}

// refusedOurs tells why a pod with the sidecar would be refused where one without would not.
func (r *Workloads) refusedOurs(ctx context.Context, obj client.Object, plan mutators.Plan) (string, error) {
	why, err := r.dryRun(ctx, obj, plan)
	if err != nil || why == "" {
		return "", err
	}
	bare, err := r.dryRun(ctx, obj, mutators.Plan{})
	if err != nil || bare != "" {
		return "", err
	}
	return why, nil
}

func waits(configs []v1beta1.BackupConfiguration) bool {
	return slices.ContainsFunc(configs, func(c v1beta1.BackupConfiguration) bool {
		return c.Spec.RolloutPolicy == v1beta1.RolloutOnNext
	})
}

// remembered is what the configurations of a workload say of its stamp. One that came later knows
// nothing.
func remembered(configs []v1beta1.BackupConfiguration, stamp string) *v1beta1.SidecarStatus {
	var out *v1beta1.SidecarStatus
	for i := range configs {
		if m := configs[i].Status.Sidecar; m != nil && (out == nil || m.Stamp == stamp && out.Stamp != stamp) {
			out = m
		}
	}
	return out
}

// rolloutPod sums a pod up for rollouts.
func rolloutPod(p *corev1.Pod, seen session.Pod, plan mutators.Plan) rollout.Pod {
	v := rollout.Pod{
		Name: p.Name, Created: p.CreationTimestamp.Time, Ready: seen.Ready, Injected: seen.Injected, Refused: seen.Refused,
		Revision: p.Labels[appsv1.DefaultDeploymentUniqueLabelKey], Stamp: p.Labels[api.LabelInject], Lost: plan.Lost(&p.Spec),
	}
	if v.Revision == "" {
		v.Revision = p.Labels[appsv1.ControllerRevisionHashLabelKey]
	}
	if p.DeletionTimestamp != nil {
		v.Ending = p.DeletionTimestamp.Time
	}
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if s.Name != api.ContainerSidecar {
			continue
		}
		v.Started = s.RestartCount > 0 || s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil
		v.Stuck = notStarting(s)
	}
	return v
}

// notStarting tells in kubelet's words what keeps a container from starting, empty where nothing
// does so far.
func notStarting(s corev1.ContainerStatus) string {
	if s.State.Waiting == nil {
		return ""
	}
	switch w := s.State.Waiting; w.Reason {
	case "", "ContainerCreating", "PodInitializing", "CrashLoopBackOff":
		return ""
	default:
		return strings.TrimSuffix(w.Reason+": "+shorten(w.Message), ": ")
	}
}
