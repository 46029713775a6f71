package controller

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/validators"
)

const (
	// judgeAgain is the least time between two looks of a policy at all objects; changes in between are
	// looked at together.
	judgeAgain = 10 * time.Second
	// claimsAgain is that of a policy that selects claims, which are read from the API server.
	claimsAgain = time.Minute
	// judgeEvery is how often a policy looks though nothing is known to have changed.
	judgeEvery = 10 * time.Minute
)

// ProtectionPolicies looks at what policies select, over and over, and says in their status what of it
// is protected. One reconciles at a time.
type ProtectionPolicies struct {
	*World
	// Changed is called when a policy came, changed or went: some have webhooks.
	Changed func()

	looked map[string]time.Time
}

// Reconcile looks at what one policy selects.
func (r *ProtectionPolicies) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if r.looked == nil {
		r.looked = map[string]time.Time{}
	}
	p := &v1beta1.ProtectionPolicy{}
	if err := r.Get(ctx, req.NamespacedName, p); err != nil {
		if apierrors.IsNotFound(err) {
			delete(r.looked, req.Name)
			r.Changed()
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("read ProtectionPolicy: %w", err)
	}
	p = p.DeepCopy()
	same := p.Status.ObservedGeneration == p.Generation
	if wait := r.looked[p.Name].Add(again(p)).Sub(r.Now()); same && wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	if !same {
		r.Changed()
	}
	before := p.Status.DeepCopy()
	unprotected, err := r.look(ctx, p)
	if err != nil {
		return ctrl.Result{}, err
	}
	r.looked[p.Name] = r.Now()
	if !equalStatus(before, &p.Status) {
		err := r.Status().Update(ctx, p)
		if apierrors.IsConflict(err) {
			delete(r.looked, p.Name)
			return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
		}
		if client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, fmt.Errorf("write status: %w", err)
		}
		r.tell(p, before, unprotected)
	}
	return ctrl.Result{RequeueAfter: judgeEvery + rand.N(judgeEvery)}, nil //nolint:gosec // jitter
}

// again is how long a policy's findings are left as they are.
func again(p *v1beta1.ProtectionPolicy) time.Duration {
	if slices.Contains(p.Spec.Kinds, v1beta1.ProtectionKind(target.PersistentVolumeClaim().GVK.Kind)) {
		return claimsAgain
	}
	return judgeAgain
}

// look brings the status up to date and returns the objects that are not protected, by what the status
// calls them.
func (r *ProtectionPolicies) look(ctx context.Context, p *v1beta1.ProtectionPolicy) (map[string]client.Object, error) {
	s := &p.Status
	s.ObservedGeneration = p.Generation
	valid, err := r.validate(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := r.enforced(ctx, p); err != nil {
		return nil, err
	}
	var census protection.Census
	unprotected := map[string]client.Object{}
	if valid {
		if err := r.count(ctx, p, &census, unprotected); err != nil {
			return nil, err
		}
	}
	census.Write(s)
	switch {
	case !valid:
		r.set(p, api.AllProtected, false, "NotEvaluated", "the policy is not valid: nothing is selected")
	case s.Unprotected > 0:
		r.set(p, api.AllProtected, false, "UnprotectedObjects", protection.Summary(s))
	default:
		r.set(p, api.AllProtected, true, "AllProtected", protection.Summary(s))
	}
	return unprotected, nil
}

// count judges all objects.
func (r *ProtectionPolicies) count(ctx context.Context, p *v1beta1.ProtectionPolicy, census *protection.Census, unprotected map[string]client.Object) error {
	policy, err := protection.New(p)
	if err != nil {
		return err //nolint:wrapcheck // it names the policy
	}
	in, err := r.inventory(ctx)
	if err != nil {
		return err
	}
	for _, n := range in.namespaces {
		if policy.SelectsNamespace(&n, r.Namespace) {
			census.Namespace(n.Name)
		}
	}
	for _, k := range policy.Kinds() {
		err := r.objects(ctx, k, in, func(o judgedObject) {
			v := policy.Judge(&o.Object, r.Namespace)
			census.Add(&o.Object, v)
			if v.State == protection.Unprotected {
				unprotected[target.Key(k.String(), o.Namespace.Name, o.Name)] = o.object
			}
		})
		if err != nil {
			return fmt.Errorf("list %s: %w", k.Resource, err)
		}
	}
	return nil
}

func (r *ProtectionPolicies) set(p *v1beta1.ProtectionPolicy, kind string, ok bool, reason, message string) {
	api.SetCondition(&p.Status.Conditions, condition(kind, ok, reason, message, p.Generation), metav1.NewTime(r.Now()))
}

// validate runs the webhook's own rules: a webhook that was down does no harm.
func (r *ProtectionPolicies) validate(ctx context.Context, p *v1beta1.ProtectionPolicy) (bool, error) {
	facts, err := r.policyFacts(ctx, p)
	if err != nil {
		return false, err
	}
	missing := strings.Join(facts.MissingBlueprints, ", ")
	switch res := validators.ProtectionPolicy(p, nil, facts); {
	case len(res.Errors) > 0:
		r.set(p, api.ValidationPassed, false, "ResourceValidationFailed", res.Errors.ToAggregate().Error())
		return false, nil
	case p.Spec.Default != nil && slices.Contains(facts.MissingBlueprints, p.Spec.Default.Blueprint):
		r.set(p, api.ValidationPassed, false, "BlueprintNotFound", fmt.Sprintf("there is no BackupBlueprint or BackupTemplate %q: nothing is backed up by it until there is", p.Spec.Default.Blueprint))
	case missing != "":
		r.set(p, api.ValidationPassed, true, "ResourceValidationPassed", "the policy is valid, but there is no BackupBlueprint or BackupTemplate "+missing)
	default:
		r.set(p, api.ValidationPassed, true, "ResourceValidationPassed", "the policy is valid")
	}
	return true, nil
}

// policyFacts tells which blueprints a policy names in vain.
func (w *World) policyFacts(ctx context.Context, p *v1beta1.ProtectionPolicy) (validators.Facts, error) {
	names := slices.Clone(p.Spec.Require.Blueprints)
	if d := p.Spec.Default; d != nil && !slices.Contains(names, d.Blueprint) {
		names = append(names, d.Blueprint)
	}
	var out validators.Facts
	for _, name := range names {
		known, err := w.knownBlueprint(ctx, name)
		if err != nil {
			return out, err
		}
		if !known {
			out.MissingBlueprints = append(out.MissingBlueprints, name)
		}
	}
	return out, nil
}

// knownBlueprint tells whether there is a blueprint or template of a name.
func (w *World) knownBlueprint(ctx context.Context, name string) (bool, error) {
	for _, o := range []client.Object{&v1beta1.BackupBlueprint{}, &v1beta1.BackupTemplate{}} {
		switch err := w.Get(ctx, client.ObjectKey{Name: name}, o); {
		case err == nil:
			return true, nil
		case !apierrors.IsNotFound(err):
			return false, fmt.Errorf("read %T: %w", o, err)
		}
	}
	return false, nil
}

// enforced says whether requests are looked at.
func (r *ProtectionPolicies) enforced(ctx context.Context, p *v1beta1.ProtectionPolicy) error {
	if !protection.Acts(&p.Spec) {
		r.set(p, api.Enforced, true, "StatusOnly", "action Audit: requests are not looked at, this status is what there is")
		return nil
	}
	list := &v1beta1.ProtectionPolicyList{}
	if err := r.List(ctx, list); err != nil {
		return fmt.Errorf("list ProtectionPolicies: %w", err)
	}
	_, left := protection.Acting(list.Items)
	if why := left[p.Name]; why != "" {
		r.set(p, api.Enforced, false, "NotRegistered", why)
		return nil
	}
	what := map[v1beta1.ProtectionAction]string{
		v1beta1.ActionWarn:    "whoever writes an object that is not protected is warned",
		v1beta1.ActionDeny:    "requests that leave an object unprotected are refused; while Stash does not answer they pass, and are found here",
		v1beta1.ActionDefault: "what is selected is backed up by the blueprint, from its first pod on",
	}[p.Spec.Action]
	r.set(p, api.Enforced, true, "Registered", what)
	return nil
}

// tell makes events of what changed: on the policy, and on objects that are newly listed.
func (r *ProtectionPolicies) tell(p *v1beta1.ProtectionPolicy, before *v1beta1.ProtectionPolicyStatus, unprotected map[string]client.Object) {
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		old := api.FindCondition(before.Conditions, c.Type)
		if old != nil && old.Status == c.Status && old.Reason == c.Reason || old == nil && c.Status == metav1.ConditionTrue {
			continue
		}
		kind := corev1.EventTypeNormal
		if c.Status != metav1.ConditionTrue {
			kind = corev1.EventTypeWarning
		}
		r.event(p, kind, c.Reason, c.Message)
	}
	known := map[string]bool{}
	for _, o := range before.UnprotectedObjects {
		known[target.Key(o.Kind, o.Namespace, o.Name)] = true
	}
	for _, o := range p.Status.UnprotectedObjects {
		key := target.Key(o.Kind, o.Namespace, o.Name)
		if obj := unprotected[key]; obj != nil && !known[key] {
			r.event(obj, corev1.EventTypeWarning, "Unprotected", fmt.Sprintf("ProtectionPolicy %q: %s", p.Name, o.Message))
		}
	}
}

// keysOfPolicies are those of all policies: what changed may matter to any of them.
func (w *World) keysOfPolicies(ctx context.Context, _ client.Object) []client.ObjectKey {
	list := &v1beta1.ProtectionPolicyList{}
	if err := w.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	return keysOf(list.Items)
}

// policies reads all policies that can be read; what is wrong with others is in their status.
func (w *World) policies(ctx context.Context) ([]*protection.Policy, error) {
	list := &v1beta1.ProtectionPolicyList{}
	if err := w.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list ProtectionPolicies: %w", err)
	}
	var out []*protection.Policy
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp != nil {
			continue
		}
		if read, err := protection.New(&list.Items[i]); err == nil {
			out = append(out, read)
		}
	}
	return out, nil
}
