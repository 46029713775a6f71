package session

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Reasons why a repository worker does not run, of the condition WorkerReady. The values are stable.
const (
	ReasonQuota         = "QuotaExceeded"
	ReasonPodSecurity   = "PodSecurityForbids"
	ReasonRefused       = "PodRefused"
	ReasonUnschedulable = "Unschedulable"
	ReasonImagePull     = "ImagePullFailed"
	ReasonNotStarted    = "ContainerNotStarted"
	ReasonWorkerFailed  = "WorkerFailed"
	ReasonNotConnected  = "NotConnected"
)

// How long a worker may take before it is said that it does not come: scheduling is a matter of
// seconds, and so is a volume that is bound by it; images are large.
const (
	schedulePatience = 10 * time.Second
	startPatience    = 2 * time.Minute
)

// MissingWorker is what is observed of a repository worker that is wanted and does not run.
type MissingWorker struct {
	// Whose says what it is to people; empty: the repository worker.
	Whose string
	// Refused is the API server's answer to its Job or its pod; empty: it takes them.
	Refused string
	// Pod is its name, empty where there is none.
	Pod string
	// Created is when the pod was created.
	Created time.Time
	// Unschedulable is what the scheduler says.
	Unschedulable string
	// Waiting is kubelet's word for why the container does not start, WaitingMessage its sentence.
	Waiting        string
	WaitingMessage string
	// Ended says how the container ended; empty: it did not, or without a fault.
	Ended string
}

// Trouble says in a word and a sentence what keeps the worker from running; both are empty while
// nothing is wrong.
func (w MissingWorker) Trouble(now time.Time) (reason, message string) {
	age := now.Sub(w.Created)
	whose := cmp.Or(w.Whose, "the repository worker")
	switch {
	case w.Refused != "":
		return refusal(w.Refused), "the API server refuses " + whose + ": " + w.Refused
	case w.Pod == "":
		return "", ""
	case w.Ended != "":
		return ReasonWorkerFailed, fmt.Sprintf("pod %q of %s ended: %s", w.Pod, whose, w.Ended)
	case w.Unschedulable != "" && age >= schedulePatience:
		return ReasonUnschedulable, fmt.Sprintf("pod %q of %s finds no node: %s", w.Pod, whose, w.Unschedulable)
	case w.Waiting != "":
		reason = ReasonNotStarted
		if strings.Contains(w.Waiting, "Image") {
			reason = ReasonImagePull
		}
		return reason, fmt.Sprintf("pod %q of %s cannot start: %s", w.Pod, whose, strings.TrimSuffix(w.Waiting+": "+w.WaitingMessage, ": "))
	case age >= startPatience:
		return ReasonNotStarted, fmt.Sprintf("pod %q of %s is not ready since it was created at %s: its node may be gone, or a volume cannot be mounted (kubectl get events says more)",
			w.Pod, whose, w.Created.UTC().Format(time.RFC3339))
	}
	return "", ""
}

// refusal classifies what admission of Kubernetes says.
func refusal(text string) string {
	switch {
	case strings.Contains(text, "exceeded quota"), strings.Contains(text, "failed quota"):
		return ReasonQuota
	case strings.Contains(text, "violates PodSecurity"):
		return ReasonPodSecurity
	}
	return ReasonRefused
}
