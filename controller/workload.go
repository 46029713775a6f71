package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/target"
)

// Workloads expands annotations, stamps pod templates and mends pods that missed their sidecar. One
// serves each kind of workload; they share the count of rollouts under way.
type Workloads struct {
	*World
	Kind     target.Kind
	Rollouts *Rollouts
}

// Reconcile brings one workload up to date.
func (r *Workloads) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	obj, ok := r.Kind.New().(client.Object)
	if !ok {
		return ctrl.Result{}, fmt.Errorf("kind %s has no object", r.Kind)
	}
	key := target.Key(r.Kind.String(), req.Namespace, req.Name)
	if err := r.Get(ctx, req.NamespacedName, obj); err != nil {
		if !apierrors.IsNotFound(err) {
			return ctrl.Result{}, fmt.Errorf("read %s: %w", r.Kind, err)
		}
		r.Rollouts.forget(key)
		return ctrl.Result{}, r.collect(ctx, req.Namespace, req.Name, nil)
	}
	if obj.GetDeletionTimestamp() != nil {
		r.Rollouts.end(key)
		return ctrl.Result{}, nil
	}
	if err := r.expand(ctx, obj); err != nil {
		return ctrl.Result{}, err
	}
	configs, err := r.ConfigsOf(ctx, r.Kind.Ref("", obj.GetName()), obj.GetNamespace())
	if err != nil {
		return ctrl.Result{}, err
	}
	plan, problems, err := r.planOf(ctx, obj, r.Kind, configs)
	if err != nil {
		return ctrl.Result{}, err
	}
	if len(configs) == 0 {
		r.Rollouts.end(key)
		return ctrl.Result{}, nil
	}
	verdict, err := r.inject(ctx, obj, configs, plan, key)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.report(ctx, configs, problems, verdict); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: verdict.after}, nil
}

// verdict is what is to be said about the sidecar of a workload.
type verdict struct {
	ok      bool
	reason  string
	message string
	after   time.Duration
}

// inject stamps the template where it must be and mends pods that missed the sidecar.
func (r *Workloads) inject(ctx context.Context, obj client.Object, configs []v1beta1.BackupConfiguration, plan mutators.Plan, key string) (verdict, error) {
	if plan.Empty() {
		return verdict{reason: "SidecarInjectionFailed", message: "no configuration of the workload can be served"}, nil
	}
	template := r.Kind.PodTemplate(obj)
	if template.Labels[api.LabelInject] == plan.Hash() {
		return r.repair(ctx, obj, plan, key)
	}
	if waits(configs) {
		return verdict{
			reason:  "WaitingForNextRollout",
			message: "rolloutPolicy is OnNextRollout: the sidecar comes with the next rollout of the workload",
		}, nil
	}
	if r.Rollouts.isWithdrawn(key, plan.Hash()+plan.Image()) {
		return verdict{reason: "SidecarInjectionWithdrawn", message: "the rollout with the sidecar was withdrawn, since pods could not start it; the events of the workload say why"}, nil
	}
	if why, err := r.dryRun(ctx, obj, plan); err != nil || why != "" {
		return verdict{reason: "SidecarInjectionFailed", message: why, after: time.Minute}, err
	}
	if !r.Rollouts.begin(key, r.MaxRollouts, r.Now()) {
		return verdict{
			reason: "WaitingForOtherRollouts", after: 5 * time.Second,
			message: fmt.Sprintf("%d other workloads are being rolled out to get their sidecars", r.MaxRollouts),
		}, nil
	}
	if err := r.ensureCA(ctx, obj.GetNamespace()); err != nil {
		return verdict{}, err
	}
	hash := plan.Hash()
	if err := r.labelTemplate(ctx, obj, map[string]*string{api.LabelInject: &hash}); err != nil {
		return verdict{}, err
	}
	return verdict{reason: "RollingOut", message: "the workload is being rolled out with the sidecar", after: 2 * time.Second}, nil
}

func waits(configs []v1beta1.BackupConfiguration) bool {
	return slices.ContainsFunc(configs, func(c v1beta1.BackupConfiguration) bool {
		return c.Spec.RolloutPolicy == v1beta1.RolloutOnNext
	})
}

// dryRun tells why the completed pod would be refused: failing open does not save a pod that Pod
// Security or a quota refuses because of our container.
func (r *Workloads) dryRun(ctx context.Context, obj client.Object, plan mutators.Plan) (string, error) {
	template := r.Kind.PodTemplate(obj)
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.Name, pod.GenerateName, pod.Namespace = "", "stash-dry-run-", obj.GetNamespace()
	delete(pod.Labels, api.LabelInject)
	delete(pod.Labels, api.LabelRestore)
	for _, claim := range claimTemplates(obj) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim + "-" + obj.GetName() + "-0"},
		}})
	}
	done, reason, err := mutators.Apply(pod, plan)
	if err != nil {
		return "", fmt.Errorf("complete pod: %w", err)
	}
	if !reason.Complete() {
		return "the pod cannot be completed: " + string(reason), nil
	}
	err = r.Create(ctx, done, client.DryRunAll)
	if err == nil {
		return "", nil
	}
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		return "a pod with the sidecar would be refused: " + shorten(err.Error()), nil
	}
	return "", fmt.Errorf("try a pod with the sidecar: %w", err)
}

// repair counts the pods that have the sidecar, and evicts one that missed it.
func (r *Workloads) repair(ctx context.Context, obj client.Object, plan mutators.Plan, key string) (verdict, error) {
	pods, err := r.PodsOf(ctx, obj)
	if err != nil {
		return verdict{}, err
	}
	var have, all int
	var missed *corev1.Pod
	for i := range pods {
		v := viewPod(&pods[i], api.ContainerSidecar)
		if v.Dead || pods[i].DeletionTimestamp != nil {
			continue
		}
		all++
		if v.Injected {
			have++
		} else if pods[i].Labels[api.LabelInject] != "" {
			missed = &pods[i]
		}
	}
	if why := stalled(pods); why != "" {
		r.Rollouts.withdraw(key, plan.Hash()+plan.Image())
		return r.withdraw(ctx, obj, why)
	}
	message := fmt.Sprintf("%d of %d pods have the sidecar", have, all)
	if have == all {
		r.Rollouts.end(key)
		return verdict{ok: true, reason: "SidecarInjectionSucceeded", message: message}, nil
	}
	if roll := r.Kind.Rollout(obj); roll.Paused || roll.OnDelete || roll.Partition > 0 {
		r.Rollouts.end(key)
		return verdict{ok: have > 0, reason: "WaitingForPods", message: message + "; the others get it when they are replaced: the workload is paused, OnDelete or partitioned"}, nil
	}
	if missed != nil {
		return r.evict(ctx, obj, missed, plan, key, message)
	}
	return verdict{ok: have > 0, reason: "RollingOut", message: message, after: 5 * time.Second}, nil
}

// stalled tells why a rollout cannot go on because of our container.
func stalled(pods []corev1.Pod) string {
	for i := range pods {
		for _, list := range [][]corev1.ContainerStatus{pods[i].Status.InitContainerStatuses, pods[i].Status.ContainerStatuses} {
			for _, s := range list {
				if s.Name != api.ContainerSidecar || s.State.Waiting == nil {
					continue
				}
				switch s.State.Waiting.Reason {
				case "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError":
					return fmt.Sprintf("pod %q cannot start the sidecar: %s: %s", pods[i].Name, s.State.Waiting.Reason, s.State.Waiting.Message)
				}
			}
		}
	}
	return ""
}

// withdraw takes the stamp back, so that the application goes on without a sidecar.
func (r *Workloads) withdraw(ctx context.Context, obj client.Object, why string) (verdict, error) {
	if err := r.labelTemplate(ctx, obj, map[string]*string{api.LabelInject: nil}); err != nil {
		return verdict{}, err
	}
	r.event(obj, corev1.EventTypeWarning, "Sidecar Injection Failed", "the rollout with the sidecar was withdrawn: "+why)
	return verdict{reason: "SidecarInjectionWithdrawn", message: why, after: 10 * time.Minute}, nil
}

// report writes the verdict into the configurations of the workload.
func (r *Workloads) report(ctx context.Context, configs []v1beta1.BackupConfiguration, problems []mutators.Problem, v verdict) error {
	for i := range configs {
		c := &configs[i]
		ok, reason, message := v.ok, v.reason, v.message
		for _, p := range problems {
			if p.Configuration != "" && p.Configuration != c.Namespace+"/"+c.Name {
				continue
			}
			if p.Refuses() {
				ok, reason, message = false, string(p.Reason), p.Message
			} else {
				message += "; " + p.Message
			}
		}
		want := condition(api.StashSidecarInjected, ok, reason, message, c.Generation)
		if old := api.FindCondition(c.Status.Conditions, want.Type); old != nil && old.Status == want.Status && old.Reason == want.Reason && old.Message == want.Message {
			continue
		}
		err := ignoreGone(updateStatus(ctx, r.World, client.ObjectKeyFromObject(c), &v1beta1.BackupConfiguration{}, func(live *v1beta1.BackupConfiguration) (bool, error) {
			return api.SetCondition(&live.Status.Conditions, want, metav1.NewTime(r.Now())), nil
		}))
		if err != nil {
			return fmt.Errorf("write condition: %w", err)
		}
		if ok {
			r.event(c, corev1.EventTypeNormal, "Sidecar Injection Succeeded", message)
		}
	}
	return nil
}
