package session

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
)

// Where many configurations share a location and their schedules do not leave a gap, maintenance would
// never find one. After an hour, sessions that have not begun make room for it; what runs goes on. A
// backup that takes longer than that itself, or a worker that does not come, must not hold them for ever:
// they make room for an hour of each day. One with a timeOut makes room for half of it: it must not fail for
// having waited.
const (
	roomAfter = time.Hour
	roomFor   = time.Hour
	roomEvery = 24 * time.Hour
)

// Room says what new sessions at the location of a Repository wait for, and how long at the most; empty:
// nothing. whose names the Repository to people, patience ends with the session's; zero: it has no end.
func Room(repo *v1alpha1.Repository, whose string, patience, now time.Time) string {
	c := api.FindCondition(repo.Status.Conditions, api.MaintenanceCurrent)
	if c == nil || c.Status != metav1.ConditionFalse {
		return ""
	}
	waited := now.Sub(c.LastTransitionTime.Time)
	since := waited % roomEvery
	if waited < roomAfter || since < roomAfter || since >= roomAfter+roomFor {
		return ""
	}
	until := now.Add(roomAfter + roomFor - since)
	if !patience.IsZero() && patience.Before(until) {
		until = patience
	}
	if !now.Before(until) {
		return ""
	}
	return fmt.Sprintf("maintenance of %s, which has found no moment without backups since %s (until %s at the latest)", whose,
		c.LastTransitionTime.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339))
}

// Patience is until when a session makes room; zero: as long as it is to.
func Patience(created time.Time, timeOut *metav1.Duration) time.Time {
	if timeOut == nil {
		return time.Time{}
	}
	return created.Add(timeOut.Duration / 2)
}

// SayWaiting writes into the status which operation waits for the location. It is taken back when no
// work is due any more: what waited together is done together.
func SayWaiting(repo *v1alpha1.Repository, a WorkAction, now time.Time) {
	switch {
	case a.Waits != "":
		api.SetCondition(&repo.Status.Conditions, api.Condition{
			Type: api.MaintenanceCurrent, Status: metav1.ConditionFalse, Reason: "LocationBusy", ObservedGeneration: repo.Generation,
			Message: fmt.Sprintf("%s waits until no backup or restore uses the location", a.Waits),
		}, metav1.NewTime(now))
	case repo.Status.Work == nil && a.Operation == "" && !a.NeedWorker:
		api.RemoveCondition(&repo.Status.Conditions, api.MaintenanceCurrent)
	}
}
