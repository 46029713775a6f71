package controller

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/validators"
	"github.com/seed-731df569/stash/webhook"
)

var _ webhook.Own = (*Admission)(nil)

// Facts implements webhook.Own. Controllers use it too, so that both judge alike.
func (w *World) Facts(ctx context.Context, object runtime.Object) (validators.Facts, error) {
	switch o := object.(type) {
	case *v1alpha1.Repository:
		return w.repositoryFacts(ctx, o)
	case *v1beta1.BackupConfiguration:
		return w.configurationFacts(ctx, o)
	case *v1beta1.BackupSession:
		err := w.Get(ctx, client.ObjectKey{Namespace: o.Namespace, Name: o.Spec.InvokerRef().Name}, &v1beta1.BackupConfiguration{})
		if client.IgnoreNotFound(err) != nil {
			return validators.Facts{}, fmt.Errorf("read BackupConfiguration: %w", err)
		}
		return validators.Facts{InvokerMissing: w.reallyMissing(ctx, o, err)}, nil
	case *v1beta1.RestoreSession:
		return w.restoreFacts(ctx, o)
	case *v1beta1.ProtectionPolicy:
		return w.policyFacts(ctx, o)
	}
	return validators.Facts{}, nil
}

// reallyMissing asks the API server for what the cache does not have: an object that was created a
// moment ago, by the same kubectl apply, is not missing.
func (w *World) reallyMissing(ctx context.Context, bs *v1beta1.BackupSession, err error) bool {
	if err == nil {
		return false
	}
	live := w.Live.Get(ctx, client.ObjectKey{Namespace: bs.Namespace, Name: bs.Spec.InvokerRef().Name}, &v1beta1.BackupConfiguration{})
	return apierrors.IsNotFound(live)
}

func (w *World) sameLocation(ctx context.Context, repo *v1alpha1.Repository) ([]string, error) {
	all, err := w.repositoriesAt(ctx, location(repo))
	var out []string
	for i := range all {
		if o := &all[i]; o.Namespace != repo.Namespace || o.Name != repo.Name {
			out = append(out, o.Namespace+"/"+o.Name)
		}
	}
	return out, err
}

func (w *World) repositoryFacts(ctx context.Context, repo *v1alpha1.Repository) (validators.Facts, error) {
	var f validators.Facts
	var err error
	if f.SameLocation, err = w.sameLocation(ctx, repo); err != nil {
		return f, err
	}
	if f.Users, err = w.UsersOf(ctx, repo); err != nil {
		return f, err
	}
	var names []string
	for i := range f.Users {
		names = append(names, f.Users[i].Namespace, podsNamespace(&f.Users[i]))
	}
	f.Namespaces, err = w.namespaceLabels(ctx, names...)
	return f, err
}

func (w *World) configurationFacts(ctx context.Context, c *v1beta1.BackupConfiguration) (validators.Facts, error) {
	repo, err := w.Repository(ctx, c.Spec.Repository, c.Namespace)
	if err != nil {
		return validators.Facts{}, err
	}
	f, err := w.factsIn(ctx, c, repo)
	f.TargetRuns = f.Target != nil
	return f, err
}

// PairFacts implements webhook.Own.
func (w *World) PairFacts(ctx context.Context, p blueprint.Pair, others []blueprint.Pair) (validators.Facts, error) {
	f, err := w.factsIn(ctx, p.Configuration, p.Repository)
	if err != nil {
		return f, err
	}
	for _, o := range others {
		f.Configurations = slices.DeleteFunc(f.Configurations, func(n validators.Neighbour) bool {
			return n.Configuration.Namespace == o.Configuration.Namespace && n.Configuration.Name == o.Configuration.Name
		})
		loc := location(p.Repository)
		f.Configurations = append(f.Configurations, validators.Neighbour{
			Configuration: o.Configuration, SharesLocation: loc != "" && loc == location(o.Repository),
		})
	}
	return f, nil
}

// factsIn gathers what is looked at beside a configuration that keeps its snapshots in a Repository,
// stored or not; nil where there is none.
func (w *World) factsIn(ctx context.Context, c *v1beta1.BackupConfiguration, repo *v1alpha1.Repository) (validators.Facts, error) {
	f := validators.Facts{OperatorNamespace: w.Namespace, Repository: repo}
	var err error
	if f.Namespaces, err = w.namespaceLabels(ctx, c.Namespace, podsNamespace(c)); err != nil {
		return f, err
	}
	if c.Spec.Target != nil {
		if f.Target, err = w.known(ctx, c.Spec.Target.Ref, c.Namespace); err != nil {
			return f, err
		}
	}
	f.Configurations, err = w.neighbours(ctx, c, f.Repository)
	return f, err
}

func (w *World) restoreFacts(ctx context.Context, rs *v1beta1.RestoreSession) (validators.Facts, error) {
	f := validators.Facts{OperatorNamespace: w.Namespace}
	var err error
	if f.Namespaces, err = w.namespaceLabels(ctx, rs.Namespace, targetNamespace(rs)); err != nil {
		return f, err
	}
	if f.Repository, err = w.Repository(ctx, rs.Spec.Repository, rs.Namespace); err != nil {
		return f, err
	}
	if rs.Spec.Target != nil {
		f.Target, err = w.known(ctx, rs.Spec.Target.Ref, rs.Namespace)
	}
	return f, err
}

// known reads a target; nil where it does not exist or its kind has no objects here.
func (w *World) known(ctx context.Context, ref v1beta1.TargetRef, namespace string) (runtime.Object, error) {
	if _, err := target.FindRef(ref); err != nil {
		return nil, nil //nolint:nilerr,nilnil // the validator says what is wrong with the reference
	}
	obj, _, err := w.Workload(ctx, ref, namespace)
	if err != nil || obj == nil {
		return nil, err
	}
	return obj, nil
}

// neighbours are the configurations that share the target or the location with one.
func (w *World) neighbours(ctx context.Context, c *v1beta1.BackupConfiguration, repo *v1alpha1.Repository) ([]validators.Neighbour, error) {
	loc := ""
	if repo != nil {
		loc = location(repo)
	}
	var near []v1beta1.BackupConfiguration
	if c.Spec.Target != nil {
		same, err := w.ConfigsOf(ctx, c.Spec.Target.Ref, c.Namespace)
		if err != nil {
			return nil, err
		}
		near = same
	}
	there, err := w.repositoriesAt(ctx, loc)
	if err != nil {
		return nil, err
	}
	for i := range there {
		users, err := w.UsersOf(ctx, &there[i])
		if err != nil {
			return nil, err
		}
		near = append(near, users...)
	}
	slices.SortFunc(near, func(a, b v1beta1.BackupConfiguration) int { return older(&a, &b) })
	near = slices.CompactFunc(near, func(a, b v1beta1.BackupConfiguration) bool { return a.Namespace == b.Namespace && a.Name == b.Name })
	var out []validators.Neighbour
	for i := range near {
		o := &near[i]
		if o.Namespace == c.Namespace && o.Name == c.Name {
			continue
		}
		sameTarget := c.Spec.Target != nil && o.Spec.Target != nil && target.Same(c.Spec.Target.Ref, c.Namespace, o.Spec.Target.Ref, o.Namespace)
		samePlace, err := w.keepsAt(ctx, o, loc)
		if err != nil {
			return nil, err
		}
		if sameTarget || samePlace {
			out = append(out, validators.Neighbour{Configuration: o, SharesLocation: samePlace})
		}
	}
	return out, nil
}

// repositoriesAt lists the Repositories at a location, in order of their names; none at the empty one.
func (w *World) repositoriesAt(ctx context.Context, loc string) ([]v1alpha1.Repository, error) {
	if loc == "" {
		return nil, nil
	}
	list := &v1alpha1.RepositoryList{}
	if err := w.List(ctx, list, client.MatchingFields{indexLocation: loc}); err != nil {
		return nil, fmt.Errorf("list Repositories: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.Repository) int {
		return compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return list.Items, nil
}

// judge looks at a stored configuration by the webhook's own rules.
func (w *World) judge(ctx context.Context, c *v1beta1.BackupConfiguration) (validators.Result, error) {
	facts, err := w.Facts(ctx, c)
	if err != nil {
		return validators.Result{}, err
	}
	facts.Configurations = claims(facts.Configurations, c)
	facts.TargetRuns = false // StashSidecarInjected tells what became of the rollout
	return validators.BackupConfiguration(c, nil, facts), nil
}

// invalid says what is wrong with a stored configuration, empty if nothing is. A webhook that was down,
// or whose cache did not know the other one yet, does no harm: what is invalid gets no sessions and no
// retention.
func (w *World) invalid(ctx context.Context, c *v1beta1.BackupConfiguration) (string, error) {
	res, err := w.judge(ctx, c)
	if err != nil || len(res.Errors) == 0 {
		return "", err
	}
	return res.Errors.ToAggregate().Error(), nil
}

// claims are the neighbours, of which those that were there before c keep the place that both claim.
func claims(all []validators.Neighbour, c *v1beta1.BackupConfiguration) []validators.Neighbour {
	for i, n := range all {
		all[i].SharesLocation = n.SharesLocation && older(n.Configuration, c) <= 0
	}
	return all
}

// keepsAt tells whether a configuration keeps snapshots at a location. One whose Repository does not
// admit it keeps none: naming a Repository of others must not claim their place.
func (w *World) keepsAt(ctx context.Context, c *v1beta1.BackupConfiguration, loc string) (bool, error) {
	if loc == "" {
		return false, nil
	}
	repo, err := w.Repository(ctx, c.Spec.Repository, c.Namespace)
	if err != nil || repo == nil || location(repo) != loc {
		return false, err
	}
	why, err := w.refusal(ctx, c, repo)
	return why == "", err
}

// Users implements webhook.Own.
func (w *World) Users(ctx context.Context, repo *v1alpha1.Repository) ([]string, error) {
	users, err := w.admittedUsers(ctx, repo)
	if err != nil {
		return nil, err
	}
	var out []string
	for i := range users {
		out = append(out, v1beta1.KindBackupConfiguration+" "+users[i].Namespace+"/"+users[i].Name)
	}
	return out, nil
}
