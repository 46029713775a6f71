package controller

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/validators"
)

// ExpansionInput gathers what blueprint.Expand looks at, for an object in the cache or in a request.
func (w *World) ExpansionInput(ctx context.Context, t blueprint.Target) (blueprint.Input, error) {
	in := blueprint.Input{
		Target:            t,
		OperatorNamespace: w.Namespace,
		Blueprints:        map[string]*v1beta1.BackupBlueprint{},
		Templates:         map[string]*v1beta1.BackupTemplate{},
	}
	ns := &corev1.Namespace{}
	if err := w.Get(ctx, client.ObjectKey{Name: t.Namespace}, ns); client.IgnoreNotFound(err) != nil {
		return in, fmt.Errorf("read namespace: %w", err)
	}
	in.NamespaceLabels = ns.Labels
	configs, err := w.ConfigsOf(ctx, t.Kind.Ref("", t.Name), t.Namespace)
	if err != nil {
		return in, err
	}
	byHand := false
	for i := range configs {
		if configs[i].Name == blueprint.Name(&t, configs[i].Namespace, "") {
			in.Holder = blueprint.Holder(configs[i].Annotations)
		}
		byHand = byHand || !expanded(&configs[i], &t)
	}
	policies, err := w.policies(ctx)
	if err != nil {
		return in, err
	}
	o := protection.ObjectOf(&t, protection.Namespace{Name: t.Namespace, Labels: ns.Labels, Annotations: ns.Annotations})
	in.Default = protection.DefaultFor(&o, byHand, policies, w.Namespace)
	return in, w.blueprints(ctx, &in)
}

// blueprints reads those that the target is expanded by, as far as they exist.
func (w *World) blueprints(ctx context.Context, in *blueprint.Input) error {
	for _, name := range in.Names() {
		b := &v1beta1.BackupBlueprint{}
		switch err := w.Get(ctx, client.ObjectKey{Name: name}, b); {
		case err == nil:
			in.Blueprints[name] = b
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("read BackupBlueprint: %w", err)
		}
		bt := &v1beta1.BackupTemplate{}
		switch err := w.Get(ctx, client.ObjectKey{Name: name}, bt); {
		case err == nil:
			in.Templates[name] = bt
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("read BackupTemplate: %w", err)
		}
	}
	return nil
}

// maxEvents bounds what is said about one object at a time: its owner writes how much is wrong with it.
const maxEvents = 5

// expand stores what a workload's annotations, or a default, expand into, and removes what they do not
// name any more. A Repository is never removed: it is the way back.
func (r *Workloads) expand(ctx context.Context, obj client.Object) error {
	t, ok := blueprint.TargetOf(obj, obj.GetNamespace())
	if !ok {
		return nil
	}
	in, err := r.ExpansionInput(ctx, t)
	if err != nil {
		return err
	}
	out, problems := blueprint.Expand(in)
	for _, p := range problems.First(maxEvents) {
		r.event(obj, corev1.EventTypeWarning, string(p.Reason), p.Error())
	}
	keep := map[string]bool{}
	for i, pair := range out.Pairs {
		keep[pair.Configuration.Namespace+"/"+pair.Configuration.Name] = true
		why, err := r.unfit(ctx, obj, pair, out.Pairs[:i])
		if err != nil {
			return err
		}
		if why != "" {
			r.event(obj, corev1.EventTypeWarning, "InvalidExpansion", why)
			continue
		}
		// Where the Repository is somebody else's, the data would go there under the blueprint's name.
		if ours, err := r.storeRepository(ctx, obj, pair.Repository); err != nil || !ours {
			if err != nil {
				return err
			}
			continue
		}
		if err := r.storeConfiguration(ctx, obj, pair.Configuration); err != nil {
			return err
		}
	}
	if len(problems) > 0 && len(in.Names()) > 0 {
		// What cannot be expanded now is not taken for unwanted: the blueprint may come back.
		return nil
	}
	return r.collect(ctx, obj.GetNamespace(), obj.GetName(), keep)
}

// unfit says why what a blueprint gives must not be stored, by the rules that a request is held to: the
// workload may have been stored while nobody could check it. What is stored already stays as it is.
func (r *Workloads) unfit(ctx context.Context, obj client.Object, pair blueprint.Pair, before []blueprint.Pair) (string, error) {
	repo := &v1alpha1.Repository{}
	err := r.Get(ctx, client.ObjectKeyFromObject(pair.Repository), repo)
	if client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("read Repository: %w", err)
	}
	if err == nil && staysAt(repo, pair.Repository) {
		pair.Repository = pair.Repository.DeepCopy()
		pair.Repository.Spec.Backend = repo.Spec.Backend
	}
	facts, err := r.PairFacts(ctx, pair, before)
	if err != nil {
		return "", err
	}
	facts.Target = obj
	stored := &v1beta1.BackupConfiguration{}
	err = r.Get(ctx, client.ObjectKeyFromObject(pair.Configuration), stored)
	if client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("read BackupConfiguration: %w", err)
	}
	if err == nil {
		facts.Configurations = claims(facts.Configurations, stored)
	}
	res := validators.Expansion(&blueprint.Expansion{Pairs: []blueprint.Pair{pair}}, facts)
	if len(res.Errors) > 0 {
		return res.Errors.ToAggregate().Error(), nil
	}
	return "", nil
}

// staysAt tells whether a stored Repository keeps its place though another one is wanted: it is the way
// back to the snapshots that are there, and does not follow a blueprint away.
func staysAt(stored, want *v1alpha1.Repository) bool {
	return initialized(stored) && location(stored) != location(want)
}

// collect deletes the configurations that were expanded from a workload and are not to be kept. A
// configuration in another namespace cannot be owned by the workload: it is found by its label.
func (r *Workloads) collect(ctx context.Context, namespace, name string, keep map[string]bool) error {
	configs, err := r.ConfigsOf(ctx, r.Kind.Ref("", name), namespace)
	if err != nil {
		return err
	}
	for i := range configs {
		c := &configs[i]
		if keep[c.Namespace+"/"+c.Name] || c.Annotations[api.AnnotationExpandedFrom] != target.Key(r.Kind.String(), namespace, name) {
			continue
		}
		if err := r.Delete(ctx, c, client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete BackupConfiguration: %w", err)
		}
	}
	return nil
}

// expandedFrom tells whether an object of that name is ours to change: it was expanded from the same
// target. One that somebody wrote by hand is left alone, and that is said.
func (r *Workloads) expandedFrom(obj, stored, want client.Object, kind string) bool {
	if madeFromSame(stored, want) {
		return true
	}
	r.event(obj, corev1.EventTypeWarning, "NameTaken", fmt.Sprintf("%s \"%s/%s\" exists and was not expanded from this %s: it is left as it is", kind, stored.GetNamespace(), stored.GetName(), r.Kind))
	return false
}

// storeRepository tells whether the Repository is the workload's. One that was created a moment ago, by whoever,
// is looked at with the next try.
func (r *Workloads) storeRepository(ctx context.Context, obj client.Object, want *v1alpha1.Repository) (bool, error) {
	stored := &v1alpha1.Repository{}
	err := r.Get(ctx, client.ObjectKeyFromObject(want), stored)
	if apierrors.IsNotFound(err) {
		if err := r.Create(ctx, want.DeepCopy()); err != nil {
			return false, fmt.Errorf("create Repository: %w", err)
		}
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read Repository: %w", err)
	}
	if !adoptable(stored, want) && !r.expandedFrom(obj, stored, want, "Repository") {
		return false, nil
	}
	next := stored.DeepCopy()
	next.Spec = *want.Spec.DeepCopy()
	// What the API server fills in is not a difference.
	if p := next.Spec.UsagePolicy; p != nil && p.AllowedNamespaces.From == "" {
		p.AllowedNamespaces.From = v1alpha1.NamespacesFromSame
	}
	if staysAt(stored, want) {
		next.Spec.Backend = stored.Spec.Backend
		r.event(obj, corev1.EventTypeWarning, "RepositoryKept", fmt.Sprintf(
			"Repository \"%s/%s\" holds snapshots and stays at its place, though the blueprint names another one: to move, delete the Repository (the data stays in the backend) after its BackupConfiguration",
			stored.Namespace, stored.Name))
	}
	merge(next, want)
	if equality.Semantic.DeepEqual(stored, next) {
		return true, nil
	}
	if err := r.Update(ctx, next); err != nil {
		return false, fmt.Errorf("update Repository: %w", err)
	}
	return true, nil
}

func (r *Workloads) storeConfiguration(ctx context.Context, obj client.Object, want *v1beta1.BackupConfiguration) error {
	stored := &v1beta1.BackupConfiguration{}
	err := r.Get(ctx, client.ObjectKeyFromObject(want), stored)
	if apierrors.IsNotFound(err) {
		if err := r.Create(ctx, want.DeepCopy()); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create BackupConfiguration: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read BackupConfiguration: %w", err)
	}
	if !r.expandedFrom(obj, stored, want, "BackupConfiguration") {
		return nil
	}
	next := stored.DeepCopy()
	next.Spec = *want.Spec.DeepCopy()
	// Pausing is a person's decision, which the blueprint does not know.
	next.Spec.Paused = stored.Spec.Paused
	// What the API server fills in is not a difference.
	if next.Spec.Driver == "" {
		next.Spec.Driver = v1beta1.DriverRestic
	}
	if rc := next.Spec.RetryConfig; rc != nil && rc.MaxRetry == nil {
		rc.MaxRetry = new(rc.Retries())
	}
	merge(next, want)
	next.OwnerReferences = want.OwnerReferences
	if equality.Semantic.DeepEqual(stored, next) {
		return nil
	}
	if err := r.Update(ctx, next); err != nil {
		return fmt.Errorf("update BackupConfiguration: %w", err)
	}
	return nil
}

// merge sets our labels and annotations and leaves others.
func merge(next, want client.Object) {
	labels, annotations := maps.Clone(next.GetLabels()), maps.Clone(next.GetAnnotations())
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	maps.Copy(labels, want.GetLabels())
	maps.Copy(annotations, want.GetAnnotations())
	next.SetLabels(labels)
	next.SetAnnotations(annotations)
}
