package controller

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/session"
)

// backupJobOrders tells the agent of a Job what to back up, to wait, or to end: it is there for one
// session and one host.
func (g *Agents) backupJobOrders(ctx context.Context, id broker.Identity, has func(string) bool) (broker.Orders, error) {
	out, err := g.backupOrders(ctx, id, has)
	if err != nil || len(out.Tasks)+len(out.Cancel) > 0 || out.Wait != "" {
		return out, err
	}
	list := &v1beta1.BackupSessionList{}
	if err := g.List(ctx, list, client.MatchingFields{indexUID: id.Session}, client.UnsafeDisableDeepCopy); err != nil {
		return out, fmt.Errorf("list BackupSessions: %w", err)
	}
	if len(list.Items) == 0 {
		// Only the API server knows that it is deleted.
		gone, err := g.sessionGone(ctx, id.Session)
		return broker.Orders{Finish: gone, Wait: waitUnless(gone, "the BackupSession of this pod is not known yet")}, err
	}
	bs := &list.Items[0]
	switch mine := knows(bs, id) || len(bs.Status.Targets) == 0; {
	case !mine:
		out.Refuse = fmt.Sprintf("BackupSession %q has no target in this namespace", bs.Name)
	case session.Finished(bs.Status.Phase):
		out.Finish = true
	case !assigned(bs, id.PodUID):
		out.Wait = "waiting to be given the work: " + bs.Status.Reason
	}
	return out, nil
}

// assigned tells whether a pod has work of a session.
func assigned(bs *v1beta1.BackupSession, podUID string) bool {
	return len(bs.Status.Targets) > 0 && slices.ContainsFunc(bs.Status.Targets[0].Assignments, func(a v1beta1.Assignment) bool {
		return a.PodUID == podUID
	})
}

func waitUnless(over bool, why string) string {
	if over {
		return ""
	}
	return why
}

// sessionGone tells whether no BackupSession has the UID any more.
func (g *Agents) sessionGone(ctx context.Context, uid string) (bool, error) {
	found := false
	err := g.eachLive(ctx, v1beta1.KindBackupSession, func(other string) { found = found || other == uid })
	return err == nil && !found, err
}
