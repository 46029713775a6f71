package controller

import (
	"context"
	"slices"
	"time"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/session"
)

// A lock of a pod that is not in the record is a stranger's, and waited for: nobody is forgotten while
// it may hold one. But the record is part of an object, and objects have a limit.
const (
	// manyHolders is from how many on it is looked which of them are gone.
	manyHolders = 50
	// rememberGone is how long one that is gone is kept. Locks are listed once a day: one that it left
	// is known by then.
	rememberGone = 48 * time.Hour
	// maxHolders is how large the record may be, in bytes; etcd takes objects of 1.5 MiB.
	maxHolders = 768 << 10
)

// forgetHolders keeps the record of a Repository's holders bounded.
func (w *World) forgetHolders(ctx context.Context, repo *v1alpha1.Repository) error {
	st := &repo.Status
	if len(st.Holders) <= manyHolders {
		return nil
	}
	list, err := w.holdings(ctx, repo, true)
	if err != nil {
		return err
	}
	noteGone(st.Holders, list)
	var lost int
	if st.Holders, lost = keptHolders(st.Holders, st.Locks, w.Now()); lost > 0 {
		w.Log.Warn("too many pods hold credentials for a Repository: a lock that one of them leaves may have to be removed by hand",
			"repository", repo.Namespace+"/"+repo.Name, "pods", len(st.Holders), "forgotten", lost)
	}
	return nil
}

// keptHolders leaves out those that have been gone for long and left no lock. Where the rest is too
// large, those go that are gone, the first first, then those that left a lock, then the living; lost
// counts these.
func keptHolders(list []v1alpha1.Holder, locks []string, now time.Time) (kept []v1alpha1.Holder, lost int) {
	unseen := slices.Contains(locks, session.UnknownLock)
	locked := func(h v1alpha1.Holder) bool { return unseen || slices.Contains(locks, host(h)) }
	size := 0
	for _, h := range list {
		if h.Gone == nil || locked(h) || now.Sub(h.Gone.Time) <= rememberGone {
			kept, size = append(kept, h), size+sizeOf(h)
		}
	}
	for size > maxHolders {
		i := firstGone(kept, func(h v1alpha1.Holder) bool { return !locked(h) })
		if i < 0 {
			lost++
			i = max(0, firstGone(kept, func(v1alpha1.Holder) bool { return true }))
		}
		size -= sizeOf(kept[i])
		kept = slices.Delete(kept, i, i+1)
	}
	return kept, lost
}

// firstGone finds, of those that may be forgotten, the one that has been gone for longest; -1: none is.
func firstGone(list []v1alpha1.Holder, may func(v1alpha1.Holder) bool) int {
	first := -1
	for i, h := range list {
		if h.Gone != nil && may(h) && (first < 0 || h.Gone.Before(list[first].Gone)) {
			first = i
		}
	}
	return first
}

// sizeOf is how many bytes of JSON an entry takes at most.
func sizeOf(h v1alpha1.Holder) int {
	const names = len(`{"namespace":"","pod":"","uid":"","hostname":"","unique":true,"since":"","ended":"","gone":""},`) + 3*len("2006-01-02T15:04:05Z")
	return names + len(h.Namespace) + len(h.Pod) + len(h.UID) + len(h.Hostname)
}
