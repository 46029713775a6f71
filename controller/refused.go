package controller

import (
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/seed-731df569/stash/broker/protocol"
)

// refused tells whether the API server will not take a write however often it is tried: the object
// breaks its schema, or is larger than etcd or the request may be.
func refused(err error) bool {
	if err == nil {
		return false
	}
	if apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) {
		return true
	}
	text := statusMessage(err)
	return strings.Contains(text, "request is too large") || strings.Contains(text, "message larger than max")
}

// refusedResult is what is stored in place of a result that the API server refuses: a failure that says so.
func refusedResult(r protocol.Result, err error) protocol.Result {
	text := "the API server refused to store the result: " + protocol.Clip(err.Error(), protocol.MaxText/2)
	if len(r.Backups) > 0 {
		ids := make([]string, 0, len(r.Backups))
		for _, b := range r.Backups {
			ids = append(ids, short(b.Summary.SnapshotID))
		}
		text += "; its snapshots are in the repository: " + strings.Join(ids, ", ")
	}
	return protocol.Result{
		ID: r.ID, Error: shorten(joined(r.Error, text)), Reason: protocol.ReasonOther,
		Started: r.Started, Finished: r.Finished, Duration: r.Duration,
	}
}

// bounded is a result whose texts and times can be stored. An agent's clock may be ahead of ours.
func bounded(r protocol.Result, now time.Time) protocol.Result {
	r = r.Clipped()
	if r.Started.After(now) {
		r.Started = now
	}
	if r.Finished.After(now) {
		r.Finished = now
	}
	return r
}
