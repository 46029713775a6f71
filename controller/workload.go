package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/rollout"
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
		r.Rollouts.end(key)
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
	o, err := r.observe(ctx, obj, configs, plan)
	if err != nil {
		return ctrl.Result{}, err
	}
	a, err := r.act(ctx, obj, configs, plan, rollout.Next(o, r.Now()), key)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.report(ctx, configs, problems, a); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: a.After}, nil
}

// act does what rollout.Next decided, and returns what came of it.
func (r *Workloads) act(ctx context.Context, obj client.Object, configs []v1beta1.BackupConfiguration, plan mutators.Plan, a rollout.Action, key string) (rollout.Action, error) {
	if a.Settled {
		r.Rollouts.end(key)
	}
	switch a.Kind {
	case rollout.KindStamp:
		return r.stamp(ctx, obj, plan, a, key)
	case rollout.KindReplace:
		if why, err := r.trial(ctx, obj, plan); err != nil || why != "" {
			no := *a.Unproven
			no.Message += ": " + why
			return no, err
		}
		return a, r.remembering(ctx, configs, a, func() error { return r.replace(ctx, obj, a.Pod) })
	case rollout.KindWithdraw:
		return a, r.remembering(ctx, configs, a, func() error { return r.withdraw(ctx, obj, a.Message) })
	case rollout.KindDelete:
		return a, r.free(ctx, obj, a.Pod)
	case rollout.KindWait:
	}
	return a, nil
}

// stamp asks for pods with the sidecar by the label of the pod template.
func (r *Workloads) stamp(ctx context.Context, obj client.Object, plan mutators.Plan, a rollout.Action, key string) (rollout.Action, error) {
	if why, err := r.trial(ctx, obj, plan); err != nil || why != "" {
		a.Reason, a.Message, a.After = rollout.ReasonFailed, why, time.Minute
		return a, err
	}
	if !r.Rollouts.begin(key, r.MaxRollouts, r.Now()) {
		a.Reason, a.Message = rollout.ReasonOthers, fmt.Sprintf("%d other workloads are being rolled out to get their sidecars", r.MaxRollouts)
		return a, nil
	}
	if err := r.ensureCA(ctx, obj.GetNamespace()); err != nil {
		return a, err
	}
	hash := plan.Hash()
	return a, r.labelTemplate(ctx, obj, map[string]*string{api.LabelInject: &hash})
}

// remembering writes down what is about to be done, and then does it: a process that ends in between
// does it later, and does not count it twice.
func (r *Workloads) remembering(ctx context.Context, configs []v1beta1.BackupConfiguration, a rollout.Action, do func() error) error {
	for i := range configs {
		if err := r.note(ctx, &configs[i], nil, a.Remember); err != nil {
			return err
		}
	}
	return do()
}

// withdraw takes the stamp back, so that the application goes on without a sidecar.
func (r *Workloads) withdraw(ctx context.Context, obj client.Object, why string) error {
	if err := r.labelTemplate(ctx, obj, map[string]*string{api.LabelInject: nil}); err != nil {
		return err
	}
	r.event(obj, corev1.EventTypeWarning, "Sidecar Injection Failed", why)
	return nil
}

// report writes what came of it into the configurations of the workload.
func (r *Workloads) report(ctx context.Context, configs []v1beta1.BackupConfiguration, problems []mutators.Problem, a rollout.Action) error {
	for i := range configs {
		c := &configs[i]
		ok, reason, message := a.OK, a.Reason, a.Message
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
		old := api.FindCondition(c.Status.Conditions, want.Type)
		same := old != nil && old.Status == want.Status && old.Reason == want.Reason && old.Message == want.Message
		if same && equalStatus(c.Status.Sidecar, a.Remember) {
			continue
		}
		if err := r.note(ctx, c, &want, a.Remember); err != nil {
			return err
		}
		if !same {
			r.tellInjection(c, old, want, a.Reason)
		}
	}
	return nil
}

// tellInjection makes an event of how an injection ended; decided is the reason that was decided on for
// the workload, another one is what is wrong with the configuration.
func (r *Workloads) tellInjection(c *v1beta1.BackupConfiguration, old *api.Condition, now api.Condition, decided string) {
	switch {
	case succeeded(now) && (old == nil || !succeeded(*old)):
		r.event(c, corev1.EventTypeNormal, "Sidecar Injection Succeeded", now.Message)
	case now.Status != metav1.ConditionTrue && (now.Reason == rollout.ReasonFailed || now.Reason != decided): // refused, by the API server or by us
		r.event(c, corev1.EventTypeWarning, "Sidecar Injection Failed", now.Message)
	}
}

// succeeded tells whether pods have the sidecar, and what they have stays: one pod more or less is no
// news.
func succeeded(c api.Condition) bool {
	return c.Status == metav1.ConditionTrue && (c.Reason == rollout.ReasonSucceeded || c.Reason == rollout.ReasonPods)
}

// note writes a condition, if one is given, and what is to be remembered into a configuration.
func (r *Workloads) note(ctx context.Context, c *v1beta1.BackupConfiguration, cond *api.Condition, memory *v1beta1.SidecarStatus) error {
	err := ignoreGone(updateStatus(ctx, r.World, client.ObjectKeyFromObject(c), &v1beta1.BackupConfiguration{}, func(live *v1beta1.BackupConfiguration) (bool, error) {
		changed := !equalStatus(live.Status.Sidecar, memory)
		live.Status.Sidecar = memory.DeepCopy()
		if cond != nil {
			changed = api.SetCondition(&live.Status.Conditions, *cond, metav1.NewTime(r.Now())) || changed
		}
		return changed, nil
	}))
	if err != nil {
		return fmt.Errorf("write condition: %w", err)
	}
	return nil
}
