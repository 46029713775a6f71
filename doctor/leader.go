package doctor

import (
	"context"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// LeaseName is that of the leader's Lease.
const LeaseName = "stash-operator"

func (d *Doctor) leader(ctx context.Context, s *site) []Finding {
	lease := &coordinationv1.Lease{}
	err := d.client.Get(ctx, client.ObjectKey{Namespace: d.Namespace, Name: LeaseName}, lease)
	switch {
	case apierrors.IsNotFound(err):
		lease = nil
	case err != nil:
		return unread("the leader's Lease", err)
	}
	return []Finding{judgeLeader(d.now(), lease, s.pods)}
}

// judgeLeader looks at a Lease, nil where there is none.
func judgeLeader(now time.Time, lease *coordinationv1.Lease, pods []corev1.Pod) Finding {
	const do = "the controllers stand still: no backup is begun, nothing is repaired. See whether a replica is ready, and what its log says about the Lease"
	if lease == nil || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" || lease.Spec.RenewTime == nil || lease.Spec.LeaseDurationSeconds == nil {
		return fail(do, "no replica leads")
	}
	holder, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	age := now.Sub(lease.Spec.RenewTime.Time)
	switch limit := time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second; {
	case age > limit+broken:
		return fail(do, "%s led and has not said so for %s", holder, age.Round(time.Second))
	case age > limit:
		return warn("look again in half a minute: another replica should lead then", "%s leads and has not said so for %s", holder, age.Round(time.Second))
	}
	for i := range pods {
		if pods[i].Name == holder {
			return fine("%s leads", holder)
		}
	}
	return warn("see who runs a second operator, and end it: two installations in one cluster work against each other", "%s leads, which is no pod of this installation", holder)
}
