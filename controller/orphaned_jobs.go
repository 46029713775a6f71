package controller

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// endOrphans removes the Jobs of sessions that were deleted and are in another namespace than they: nobody
// collects them, since an owner must be in the namespace of what it owns.
func (w *World) endOrphans(ctx context.Context) error {
	jobs := &batchv1.JobList{}
	if err := w.List(ctx, jobs, client.HasLabels{api.LabelSession}); err != nil {
		return fmt.Errorf("list Jobs: %w", err)
	}
	unowned := map[string][]*batchv1.Job{}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		if metav1.GetControllerOf(job) == nil && job.DeletionTimestamp == nil {
			uid := job.Labels[api.LabelSession]
			unowned[uid] = append(unowned[uid], job)
		}
	}
	if len(unowned) == 0 {
		return nil
	}
	// From the API server: a session that the cache does not have yet is not a deleted one.
	for _, kind := range []string{v1beta1.KindBackupSession, v1beta1.KindRestoreSession} {
		if err := w.eachLive(ctx, kind, func(uid string) { delete(unowned, uid) }); err != nil {
			return err
		}
	}
	for _, left := range unowned {
		for _, job := range left {
			if err := w.deleteJob(ctx, job); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachLive calls fn for the UID of each object of a kind of ours that is not being deleted.
func (w *World) eachLive(ctx context.Context, kind string, fn func(uid string)) error {
	empty := func() *metav1.PartialObjectMetadataList {
		return metadataOf(v1beta1.GroupVersion().WithKind(kind))
	}
	_, err := anyPage(ctx, w, empty, func(list *metav1.PartialObjectMetadataList) bool {
		for i := range list.Items {
			if list.Items[i].DeletionTimestamp == nil {
				fn(string(list.Items[i].UID))
			}
		}
		return false
	})
	return err
}
