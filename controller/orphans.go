package controller

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
)

// Orphans implements broker.Work: a backup whose BackupSession was deleted is stopped, since nothing
// would tell of it, and nothing would hold retention off it. A restore whose session was deleted is
// not: a pod would start on half of its data. Deleting a RestoreSession is dealt with by its pods.
func (g *Agents) Orphans(ctx context.Context, id broker.Identity, tasks []string) ([]string, error) {
	if !id.Role.BacksUp() {
		return nil, nil
	}
	var unknown []string
	for _, t := range tasks {
		cached := &v1beta1.BackupSessionList{}
		if err := g.List(ctx, cached, client.MatchingFields{indexUID: uidOf(t)}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list BackupSessions: %w", err)
		}
		if len(cached.Items) == 0 {
			unknown = append(unknown, t)
		}
	}
	if len(unknown) == 0 {
		return nil, nil
	}
	for _, t := range unknown {
		g.missed.ask(uidOf(t), g.Now())
	}
	if err := g.lookForMissed(ctx); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(unknown, func(t string) bool { return !g.missed.gone(uidOf(t)) }), nil
}

// lookForMissed looks for the sessions that agents work for and the cache does not know. Another replica may
// know one before the cache of this one does: the API server is asked, for all agents at once.
func (g *Agents) lookForMissed(ctx context.Context) error {
	wanted := g.missed.begin(g.Now())
	if len(wanted) == 0 {
		return nil
	}
	empty := func() *metav1.PartialObjectMetadataList {
		return metadataOf(v1beta1.GroupVersion().WithKind(v1beta1.KindBackupSession))
	}
	_, err := anyPage(ctx, g.World, empty, func(list *metav1.PartialObjectMetadataList) bool {
		for i := range list.Items {
			delete(wanted, string(list.Items[i].UID))
		}
		return false
	})
	g.missed.end(wanted, g.Now(), err == nil)
	return err
}
