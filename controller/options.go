package controller

import (
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/session"
)

// Options are what controllers need to know of the installation.
type Options struct {
	// Namespace that the operator runs in.
	Namespace string
	// Image of the agents: the operator's own.
	Image string
	// TrustedImages are those whose repositories the broker takes agents of, too.
	TrustedImages []string
	// ImagePullPolicy of the agents. Default: IfNotPresent.
	ImagePullPolicy corev1.PullPolicy
	// PullSecrets are names of Secrets for that image; in each namespace those are used that exist.
	PullSecrets []string
	// BrokerAddress is host:port that agents connect to, and BrokerName the name in its certificate.
	BrokerAddress string
	BrokerName    string
	// WorkerIdle is how long a repository worker waits for more work. Default: 2 min.
	WorkerIdle time.Duration
	// ClassicSidecars keeps sidecars from being native ones, whatever the kubelets know.
	ClassicSidecars bool
	// MaxRollouts limits the workloads that are rolled out for a stamp at the same time. Default: 10.
	MaxRollouts int
	// Limits of sessions.
	Limits session.Limits
	// Now is the clock.
	Now func() time.Time
	// Log of what an operator of the cluster acts on.
	Log *slog.Logger
}

// WithDefaults fills in what is not set.
func (o Options) WithDefaults() Options {
	if o.ImagePullPolicy == "" {
		o.ImagePullPolicy = corev1.PullIfNotPresent
	}
	if o.WorkerIdle == 0 {
		o.WorkerIdle = 2 * time.Minute
	}
	if o.MaxRollouts == 0 {
		o.MaxRollouts = 10
	}
	if o.Limits == (session.Limits{}) {
		o.Limits = session.DefaultLimits()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}
