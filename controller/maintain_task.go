package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

// errSubjectGone tells that what an operation was for was deleted meanwhile.
var errSubjectGone = errors.New("what it was for is gone")

// workerOrders tells a repository worker the operations that were given to it.
func (g *Agents) workerOrders(ctx context.Context, id broker.Identity, has func(string) bool) (broker.Orders, error) {
	list := &v1alpha1.RepositoryList{}
	if err := g.List(ctx, list, client.InNamespace(id.Namespace), client.MatchingFields{indexPod: id.PodUID}); err != nil {
		return broker.Orders{}, fmt.Errorf("list Repositories: %w", err)
	}
	var out broker.Orders
	for i := range list.Items {
		w := list.Items[i].Status.Work
		if w == nil || w.PodUID != id.PodUID {
			continue
		}
		var err error
		if has(w.ID) {
			err = g.reached(ctx, &list.Items[i]) // given to it by another version, before an upgrade
		} else {
			err = g.addWork(ctx, id, client.ObjectKeyFromObject(&list.Items[i]), w.ID, &out)
		}
		// What keeps one Repository from its work must not keep others.
		if err != nil {
			g.Log.Warn("work could not be given to a worker yet", "repository", list.Items[i].Namespace+"/"+list.Items[i].Name, "err", err)
		}
	}
	return out, nil
}

// addWork adds the task of a Repository's work, or ends it where it cannot be done.
func (g *Agents) addWork(ctx context.Context, id broker.Identity, key client.ObjectKey, work string, out *broker.Orders) error {
	repo := &v1alpha1.Repository{}
	if err := g.Live.Get(ctx, key, repo); err != nil {
		return client.IgnoreNotFound(err) //nolint:wrapcheck // the caller names the Repository
	}
	w := repo.Status.Work
	if w == nil || w.ID != work || w.PodUID != id.PodUID {
		return nil
	}
	if err := g.reached(ctx, repo); err != nil {
		return err
	}
	if w.Generation != repo.Generation {
		return g.endWork(ctx, repo, "") // it was decided on for another spec, and would be done with this one
	}
	if session.Exclusive(w.Operation) {
		// The last look before the deed: a leader that was replaced may have given this work away
		// after another one took the location.
		holder, err := g.claimant(ctx, repo)
		if err != nil {
			return err
		}
		if holder != claimHolder(repo, w.ID) {
			return g.endWork(ctx, repo, "")
		}
	}
	task, err := g.maintainTask(ctx, id, repo)
	if errors.Is(err, errSubjectGone) {
		return g.endWork(ctx, repo, "")
	}
	if text, ok := asProblem(err); ok {
		return g.endWork(ctx, repo, text)
	}
	if err == nil {
		out.Tasks = append(out.Tasks, *task)
	}
	return err
}

// reached notes that the worker of a Repository's work is connected.
func (g *Agents) reached(ctx context.Context, repo *v1alpha1.Repository) error {
	if repo.Status.Work.AskedTime != nil {
		return nil
	}
	now := metav1.NewTime(g.Now())
	return ignoreGone(updateStatus(ctx, g.World, client.ObjectKeyFromObject(repo), &v1alpha1.Repository{}, func(live *v1alpha1.Repository) (bool, error) {
		if live.Status.Work == nil || live.Status.Work.ID != repo.Status.Work.ID {
			return false, nil
		}
		live.Status.Work.AskedTime = &now
		return true, nil
	}))
}

// maintainTask makes the task of the operation that a Repository's status names.
func (g *Agents) maintainTask(ctx context.Context, id broker.Identity, repo *v1alpha1.Repository) (*protocol.Task, error) {
	w := repo.Status.Work
	task, err := g.task(ctx, id, repo, w.ID)
	if err != nil {
		return nil, err
	}
	task.Maintain = &protocol.Maintain{Operation: protocol.Operation(w.Operation)}
	switch w.Operation {
	case v1alpha1.OperationForget:
		task.Maintain.Forget, err = g.forget(ctx, repo, w.Subject)
	case v1alpha1.OperationFind:
		task.Maintain.Queries, err = g.queries(ctx, w.Subject)
	case v1alpha1.OperationUnlock:
		task.Maintain.Dead, err = g.lookAtLocks(ctx, repo)
	case v1alpha1.OperationProbe, v1alpha1.OperationInit, v1alpha1.OperationCheck, v1alpha1.OperationList:
	}
	return task, err
}

// forget is a configuration's retention policy, applied to the hosts and paths that are its own, or were.
func (g *Agents) forget(ctx context.Context, repo *v1alpha1.Repository, invoker string) (*protocol.Forget, error) {
	_, key, err := parseSubject(invoker)
	if err != nil {
		return nil, err
	}
	c := &v1beta1.BackupConfiguration{}
	if err := g.Get(ctx, key, c); err != nil {
		return nil, goneOr(err, invoker)
	}
	p := c.Spec.RetentionPolicy
	f := &protocol.Forget{
		Policy: restic.ForgetPolicy{
			Last: p.KeepLast, Hourly: p.KeepHourly, Daily: p.KeepDaily, Weekly: p.KeepWeekly,
			Monthly: p.KeepMonthly, Yearly: p.KeepYearly, Tags: p.KeepTags,
		},
		Prune: session.PruneDue(repo.Status, p, g.Now()), DryRun: p.DryRun,
	}
	near, err := g.neighbours(ctx, c, repo)
	if err != nil {
		return nil, err
	}
	var others []*v1beta1.BackupConfiguration
	for _, n := range near {
		others = append(others, n.Configuration)
	}
	for _, h := range c.Status.Hosts {
		f.Groups = append(f.Groups, thinned(h, c, others)...)
		for _, s := range h.Complete {
			f.Protect = append(f.Protect, s.ID)
		}
	}
	return f, nil
}

// thinned are the host and paths that a policy is applied to: none of a host whose newest backup failed.
func thinned(h v1beta1.HostResult, c *v1beta1.BackupConfiguration, others []*v1beta1.BackupConfiguration) []protocol.Group {
	if session.KeepsAll(h) {
		return nil
	}
	var out []protocol.Group
	for _, s := range h.Snapshots {
		out = append(out, protocol.Group{Host: h.Hostname, Path: s.Path})
	}
	for _, path := range session.Retired(h, c, others) {
		out = append(out, protocol.Group{Host: h.Hostname, Path: path})
	}
	return out
}

// queries are what a session needs found: the snapshots with its tag, or those that its rules name.
func (g *Agents) queries(ctx context.Context, subject string) ([]protocol.Query, error) {
	kind, key, err := parseSubject(subject)
	if err != nil {
		return nil, err
	}
	if kind == v1beta1.KindBackupSession {
		bs := &v1beta1.BackupSession{}
		if err := g.Get(ctx, key, bs); err != nil {
			return nil, goneOr(err, subject)
		}
		return []protocol.Query{{Tag: api.TagSession + string(bs.UID)}}, nil
	}
	rs := &v1beta1.RestoreSession{}
	if err := g.Get(ctx, key, rs); err != nil {
		return nil, goneOr(err, subject)
	}
	spec, _ := rs.Spec.Shipped()
	// The newest of every host and path, so that a refusal can name what there is.
	out := []protocol.Query{{Latest: true}}
	for _, r := range spec.Target.Rules {
		ids := slices.DeleteFunc(slices.Clone(r.Snapshots), func(s string) bool { return s == "latest" })
		if len(ids) > 0 {
			out = append(out, protocol.Query{IDs: ids})
		}
	}
	hosts, _, err := g.restoreHosts(ctx, rs)
	if errors.Is(err, errTargetGone) {
		return out, nil // the restore is told when the search ends
	}
	return append(out, looks(spec.Target, rs.Status.Pinned, hosts)...), err
}

// looks ask whether the snapshots hold what the rules restore from them into hosts that have none yet:
// what they lack must be known before pods are deleted for it. Of a host that appears while the worker
// looks, the restore finds it out itself.
func looks(to *v1beta1.RestoreTarget, pinned []v1beta1.PinnedSnapshot, hosts []string) []protocol.Query {
	var out []protocol.Query
	asked := map[string]bool{}
	ask := func(q protocol.Query) {
		if key := fmt.Sprintf("%d %t %s", q.Look.Rule, q.Latest, q.Host); !asked[key] {
			asked[key] = true
			out = append(out, q)
		}
	}
	for _, h := range hosts {
		rule, i := session.RuleFor(to.Rules, h)
		if i < 0 || slices.ContainsFunc(pinned, func(p v1beta1.PinnedSnapshot) bool { return p.Hostname == h }) {
			continue
		}
		look := &protocol.Look{Rule: i, Paths: rule.Paths, Include: rule.Include, Exclude: rule.Exclude, Args: to.Args}
		ids := slices.DeleteFunc(slices.Clone(rule.Snapshots), func(s string) bool { return s == "latest" })
		if len(ids) > 0 {
			ask(protocol.Query{IDs: ids, Look: look})
		}
		if len(ids) == 0 || len(ids) < len(rule.Snapshots) {
			ask(protocol.Query{Host: session.SourceOf(rule, h), Latest: true, Look: look})
		}
	}
	return out
}

// goneOr tells that a subject does not exist, or why that is not known.
func goneOr(err error, subject string) error {
	if apierrors.IsNotFound(err) {
		return errSubjectGone
	}
	return fmt.Errorf("read %s: %w", subject, err)
}

// parseSubject splits <kind>/<namespace>/<name>.
func parseSubject(s string) (kind string, key client.ObjectKey, err error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return "", key, fmt.Errorf("parse subject %q: expected kind/namespace/name", s)
	}
	return parts[0], client.ObjectKey{Namespace: parts[1], Name: parts[2]}, nil
}
