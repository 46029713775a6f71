package session_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/session"
)

func TestASessionTookWholeSeconds(t *testing.T) {
	created := metav1.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	for took, want := range map[time.Duration]string{
		2*time.Minute + 23*time.Second + 389699049: "2m23s",
		15789344:                            "0s",
		-time.Second:                        "0s",
		time.Hour:                           "1h0m0s",
		26*time.Hour + 499*time.Millisecond: "26h0m0s",
	} {
		if got := session.Took(created, metav1.NewTime(created.Add(took))); got != want {
			t.Errorf("%s is written %q, want %q", took, got, want)
		}
	}
}
