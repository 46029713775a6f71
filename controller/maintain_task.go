package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

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
		o := &session.Repository{Repository: repo}
		err = (&Repositories{World: g.World}).observeDead(ctx, o)
		task.Maintain.DeadHosts = o.DeadHosts
	case v1alpha1.OperationProbe, v1alpha1.OperationInit, v1alpha1.OperationPrune, v1alpha1.OperationCheck, v1alpha1.OperationList:
	}
	return task, err
}

// forget is a configuration's retention policy, applied to the hosts and paths that are its own.
func (g *Agents) forget(ctx context.Context, repo *v1alpha1.Repository, invoker string) (*protocol.Forget, error) {
	_, key, err := parseSubject(invoker)
	if err != nil {
		return nil, err
	}
	c := &v1beta1.BackupConfiguration{}
	if err := g.Get(ctx, key, c); err != nil {
		return nil, problemf("%s is gone", invoker)
	}
	p := c.Spec.RetentionPolicy
	f := &protocol.Forget{
		Policy: restic.ForgetPolicy{
			Last: p.KeepLast, Hourly: p.KeepHourly, Daily: p.KeepDaily, Weekly: p.KeepWeekly,
			Monthly: p.KeepMonthly, Yearly: p.KeepYearly, Tags: p.KeepTags,
		},
		Prune: session.PruneDue(repo.Status, p, g.Now()), DryRun: p.DryRun,
	}
	for _, h := range c.Status.Hosts {
		for _, s := range h.Snapshots {
			f.Groups = append(f.Groups, protocol.Group{Host: h.Hostname, Path: s.Path})
		}
		for _, s := range h.Complete {
			f.Protect = append(f.Protect, s.ID)
		}
	}
	return f, nil
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
			return nil, problemf("%s is gone", subject)
		}
		return []protocol.Query{{Tag: api.TagSession + string(bs.UID)}}, nil
	}
	rs := &v1beta1.RestoreSession{}
	if err := g.Get(ctx, key, rs); err != nil {
		return nil, problemf("%s is gone", subject)
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
	return out, nil
}

// parseSubject splits <kind>/<namespace>/<name>.
func parseSubject(s string) (kind string, key client.ObjectKey, err error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return "", key, fmt.Errorf("parse subject %q: expected kind/namespace/name", s)
	}
	return parts[0], client.ObjectKey{Namespace: parts[1], Name: parts[2]}, nil
}
