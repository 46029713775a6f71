package session_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/session"
)

func TestNewSessionsMakeRoomForMaintenanceThatFindsNone(t *testing.T) {
	for name, c := range map[string]struct {
		waited time.Duration
		until  string // empty: they do not
	}{
		"it has waited for some minutes":      {50 * time.Minute, ""},
		"it has waited for an hour":           {time.Hour, "2026-03-01T13:00:00Z"},
		"it is about to have had its hour":    {119 * time.Minute, "2026-03-01T12:01:00Z"},
		"a backup is longer than its hour":    {2 * time.Hour, ""},
		"it waits to the next day":            {24*time.Hour + time.Minute, ""},
		"it has another hour on the next day": {25*time.Hour + 30*time.Minute, "2026-03-01T12:30:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			repo := &v1alpha1.Repository{}
			session.SayWaiting(repo, session.WorkAction{Waits: v1alpha1.OperationForget}, noon().Add(-c.waited))
			session.SayWaiting(repo, session.WorkAction{Waits: v1alpha1.OperationCheck}, noon().Add(-time.Second))
			text := session.Room(repo, `Repository "repo"`, time.Time{}, noon())
			if (text == "") != (c.until == "") || !strings.Contains(text, c.until) {
				t.Errorf("%q", text)
			}
			// What is probed or begun meanwhile does not end the waiting.
			session.SayWaiting(repo, session.WorkAction{Operation: v1alpha1.OperationProbe}, noon())
			if m := api.FindCondition(repo.Status.Conditions, api.MaintenanceCurrent); m == nil || m.Status != metav1.ConditionFalse || !m.LastTransitionTime.Time.Equal(noon().Add(-c.waited)) {
				t.Errorf("%+v", m)
			}
			session.SayWaiting(repo, session.WorkAction{After: time.Hour}, noon())
			if text := session.Room(repo, "it", time.Time{}, noon()); text != "" || len(repo.Status.Conditions) > 0 {
				t.Errorf("nothing is due, and it says %q: %+v", text, repo.Status.Conditions)
			}
		})
	}
}

func TestASessionDoesNotMakeRoomUntilItFailsForIt(t *testing.T) {
	for name, c := range map[string]struct {
		age     time.Duration
		timeOut *metav1.Duration
		until   string // empty: it makes none
	}{
		"it has no timeOut":                      {50 * time.Minute, nil, "2026-03-01T13:00:00Z"},
		"it has just been made":                  {0, &metav1.Duration{Duration: 30 * time.Minute}, "2026-03-01T12:15:00Z"},
		"half of its time is over":               {15 * time.Minute, &metav1.Duration{Duration: 30 * time.Minute}, ""},
		"it has more time than room is made for": {time.Minute, &metav1.Duration{Duration: 8 * time.Hour}, "2026-03-01T13:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			repo := &v1alpha1.Repository{}
			session.SayWaiting(repo, session.WorkAction{Waits: v1alpha1.OperationForget}, noon().Add(-time.Hour))
			text := session.Room(repo, "it", session.Patience(noon().Add(-c.age), c.timeOut), noon())
			if (text == "") != (c.until == "") || !strings.Contains(text, c.until) {
				t.Errorf("%q", text)
			}
		})
	}
}
