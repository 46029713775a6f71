package session

import "time"

// Limits are the times after which the absence of something means something.
type Limits struct {
	// Accept is how long an agent may take to accept its work before another pod is tried.
	Accept time.Duration
	// Heartbeat is how long an agent may be silent before it counts as lost.
	Heartbeat time.Duration
	// Progress is how long restic may stand still before its host fails.
	Progress time.Duration
	// DeadlineGrace is how long after the deadline results are waited for.
	DeadlineGrace time.Duration
	// Repository is how long a session waits for its repository to become usable.
	Repository time.Duration
	// Pods is how long a session waits for a pod that can do the work.
	Pods time.Duration
	// Search is how long the search for a lost result may take.
	Search time.Duration
	// Attempts is how many pods are tried for one host.
	Attempts int32
	// Starts is how often an agent may begin the work of a host in one pod: one whose container ends
	// in the middle each time is not given it again. 0: there is no limit.
	Starts int32
}

// DefaultLimits are those of production.
func DefaultLimits() Limits {
	return Limits{
		Accept:        time.Minute,
		Heartbeat:     2 * time.Minute,
		Progress:      30 * time.Minute,
		DeadlineGrace: 30 * time.Second,
		Repository:    5 * time.Minute,
		Pods:          5 * time.Minute,
		Search:        10 * time.Minute,
		Attempts:      3,
		Starts:        3,
	}
}
