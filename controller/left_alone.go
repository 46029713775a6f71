package controller

import (
	"context"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

// leftAlone tells whether a pod starts on what is in its volumes, whatever becomes of the restore: no rule is
// for its host. That nobody restores under it is proven by its own volumes, not by the template, which may
// have changed since: each is its host's alone.
func (g *Agents) leftAlone(ctx context.Context, rs *v1beta1.RestoreSession, id broker.Identity) (bool, error) {
	spec, _ := rs.Spec.Shipped()
	if spec.Target == nil || !(session.Wish{Rules: spec.Target.Rules, Apart: true}).Some() {
		return false, nil
	}
	obj, kind, err := g.Workload(ctx, spec.Target.Ref, rs.Namespace)
	if err != nil || obj == nil || obj.GetUID() != id.Owner.UID {
		return false, err
	}
	host, err := kind.HostFor(spec.Target.Alias, id.Pod, id.Node)
	if err != nil {
		return false, nil //nolint:nilerr // a pod of no host is not one that is left alone
	}
	wish := wishOf(spec, obj, kind)
	return wish.Leaves(host) && target.ApartIn(obj, restoreMounts(kind.PodTemplate(obj), spec), id.Pod, id.Places), nil
}
