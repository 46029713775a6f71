package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

// plans make what a user of a Repository writes with: a container in pods of its target, or a pod of a
// Job.
type plans struct {
	sidecar func(client.Object, target.Kind) (mutators.Plan, []mutators.Problem, error)
	job     func(client.Object, target.Kind) (corev1.PodTemplateSpec, *mutators.Problem, error)
}

// writers are the containers in the Repository's namespace that share its volume: the sidecars and Jobs
// of its users, and the init-containers and Jobs of restores that are under way.
func (r *Repositories) writers(ctx context.Context, repo *v1alpha1.Repository) ([]mutators.Writer, error) {
	users, err := r.admittedUsers(ctx, repo)
	if err != nil {
		return nil, err
	}
	var out []mutators.Writer
	for i := range users {
		if t := users[i].Spec.Target; t != nil {
			w, found, wrong := r.writer(ctx, repo, t.Ref, users[i].Namespace, plans{
				func(o client.Object, k target.Kind) (mutators.Plan, []mutators.Problem, error) {
					return r.planOf(ctx, o, k, users[i:i+1])
				},
				func(o client.Object, k target.Kind) (corev1.PodTemplateSpec, *mutators.Problem, error) {
					return r.backupPod(ctx, &users[i], o, k, repo, "")
				},
			})
			if err = errors.Join(err, wrong); found {
				out = append(out, w)
			}
		}
	}
	restores := &v1beta1.RestoreSessionList{}
	if err := r.List(ctx, restores, client.MatchingFields{indexRepository: repo.Namespace + "/" + repo.Name}); err != nil {
		return nil, fmt.Errorf("list RestoreSessions: %w", err)
	}
	// A cache has no order, and the first of them decides.
	slices.SortFunc(restores.Items, func(a, b v1beta1.RestoreSession) int { return older(&a, &b) })
	for i := range restores.Items {
		rs := &restores.Items[i]
		if t := rs.Spec.Target; t != nil && !session.RestoreFinished(rs.Status.Phase) {
			w, found, wrong := r.writer(ctx, repo, t.Ref, rs.Namespace, plans{
				func(o client.Object, k target.Kind) (mutators.Plan, []mutators.Problem, error) {
					return r.restorePlan(ctx, o, k, rs)
				},
				func(o client.Object, k target.Kind) (corev1.PodTemplateSpec, *mutators.Problem, error) {
					return r.restorePod(ctx, rs, o, k, repo)
				},
			})
			if err = errors.Join(err, wrong); found {
				out = append(out, w)
			}
		}
	}
	return out, err
}

// writer is as whom a user of a Repository writes its volume; false where it does not.
func (r *Repositories) writer(ctx context.Context, repo *v1alpha1.Repository, ref v1beta1.TargetRef, own string, p plans) (w mutators.Writer, found bool, err error) {
	if _, err := target.FindRef(ref); err != nil || target.Namespace(ref, own) != repo.Namespace {
		return w, false, nil //nolint:nilerr // it has no pods, or its volume of that name is another one
	}
	obj, kind, err := r.Workload(ctx, ref, own)
	if err != nil || obj == nil {
		return w, false, err
	}
	if kind.Model == target.ModelJob {
		pod, problem, err := p.job(obj, kind)
		if err != nil || problem != nil {
			return w, false, err
		}
		return mutators.JobWriter(&pod), true, nil
	}
	plan, _, err := p.sidecar(obj, kind)
	if err != nil || plan.Empty() {
		return w, false, err
	}
	return plan.Writer(&kind.PodTemplate(obj).Spec), true, nil
}
