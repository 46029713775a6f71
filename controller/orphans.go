package controller

import (
	"context"
	"fmt"

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
	known := map[string]bool{}
	for _, t := range tasks {
		cached := &v1beta1.BackupSessionList{}
		if err := g.List(ctx, cached, client.MatchingFields{indexUID: uidOf(t)}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list BackupSessions: %w", err)
		}
		known[uidOf(t)] = len(cached.Items) > 0
	}
	without := func() (out []string) {
		for _, t := range tasks {
			if !known[uidOf(t)] {
				out = append(out, t)
			}
		}
		return out
	}
	if len(without()) == 0 {
		return nil, nil
	}
	// Another replica may know a session before the cache of this one does.
	empty := func() *metav1.PartialObjectMetadataList {
		return metadataOf(v1beta1.GroupVersion().WithKind(v1beta1.KindBackupSession))
	}
	_, err := anyPage(ctx, g.World, empty, func(list *metav1.PartialObjectMetadataList) bool {
		for i := range list.Items {
			known[string(list.Items[i].UID)] = true
		}
		return false
	})
	if err != nil {
		return nil, err
	}
	return without(), nil
}
