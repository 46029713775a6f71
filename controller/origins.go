package controller

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/protection"
)

// origins tell whether what says to come from a blueprint has its snapshots where the blueprint puts them:
// the Repository of its name may be somebody else's. Each blueprint is read once.
type origins struct {
	*World
	read map[string]*blueprint.Input
}

func (w *World) origins() *origins { return &origins{World: w, read: map[string]*blueprint.Input{}} }

// strayed tells whether a configuration that says to come from a blueprint, for a target, keeps its snapshots
// elsewhere than the blueprint says; repo is its Repository, nil where there is none. While the blueprint is
// not there, what is believed is what the Repository says of itself: that is the operator's to write, or
// theirs who may change the blueprint.
func (o *origins) strayed(ctx context.Context, t *blueprint.Target, c *v1beta1.BackupConfiguration, repo *v1alpha1.Repository) (bool, error) {
	kind, name, says := strings.Cut(c.Annotations[api.AnnotationExpandedBlueprint], "/")
	if !says || repo == nil || !expanded(c, t) {
		return false, nil
	}
	in := o.read[name]
	if in == nil {
		in = &blueprint.Input{
			Default:    blueprint.Default{Blueprints: []string{name}},
			Blueprints: map[string]*v1beta1.BackupBlueprint{}, Templates: map[string]*v1beta1.BackupTemplate{},
		}
		if err := o.blueprints(ctx, in); err != nil {
			return false, err
		}
		o.read[name] = in
	}
	want := blueprint.RepositoryOf(in, t, kind, name)
	if want == nil {
		return !sameOrigin(repo, c), nil
	}
	return !sameplace(repo, want), nil
}

// sameplace tells whether two Repositories have one location, which is known.
func sameplace(a, b *v1alpha1.Repository) bool {
	return location(a) != "" && location(a) == location(b)
}

// sameOrigin tells whether two objects say to be made from the same blueprint, for the same target.
func sameOrigin(a, b client.Object) bool {
	for _, key := range []string{api.AnnotationExpandedFrom, api.AnnotationExpandedBlueprint} {
		if a.GetAnnotations()[key] != b.GetAnnotations()[key] {
			return false
		}
	}
	return true
}

// adoptable tells whether a stored Repository is, or becomes, the one that a target expands into: it says so, or
// somebody created it again with the same backend, from a backup of the cluster for example.
func adoptable(stored, want *v1alpha1.Repository) bool {
	return madeFromSame(stored, want) || sameplace(stored, want) && equality.Semantic.DeepEqual(stored.Spec.Backend, want.Spec.Backend)
}

func madeFromSame(stored, want client.Object) bool {
	return stored.GetAnnotations()[api.AnnotationExpandedFrom] == want.GetAnnotations()[api.AnnotationExpandedFrom]
}

// backupOf is what policies look at of a pair that annotations give, stored or to be stored.
func (a *Admission) backupOf(ctx context.Context, p blueprint.Pair) (protection.Backup, error) {
	out := protection.Backup{Configuration: p.Configuration, Location: location(p.Repository)}
	repo, config := &v1alpha1.Repository{}, &v1beta1.BackupConfiguration{}
	switch err := a.Get(ctx, client.ObjectKeyFromObject(p.Repository), repo); {
	case client.IgnoreNotFound(err) != nil:
		return out, fmt.Errorf("read Repository: %w", err)
	case err == nil && !adoptable(repo, p.Repository):
		out.Problem = nameTaken("Repository", repo)
	case err == nil:
		out.Location, out.Strayed = location(repo), !sameplace(repo, p.Repository)
	}
	switch err := a.Get(ctx, client.ObjectKeyFromObject(p.Configuration), config); {
	case client.IgnoreNotFound(err) != nil:
		return out, fmt.Errorf("read BackupConfiguration: %w", err)
	case err == nil && !madeFromSame(config, p.Configuration):
		out.Problem = nameTaken("BackupConfiguration", config)
	case err == nil:
		p.Configuration.Spec.Paused = config.Spec.Paused
	}
	return out, nil
}

// nameTaken says of an object that it has the name of one that annotations give.
func nameTaken(kind string, o client.Object) string {
	return fmt.Sprintf("%s \"%s/%s\" was there before and was not made from this workload: delete it, or back the workload up by a BackupConfiguration of another name", kind, o.GetNamespace(), o.GetName())
}
