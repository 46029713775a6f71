package webhook

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/target"
)

// PodRef is a pod that is being created, as far as its request tells.
type PodRef struct {
	Namespace string
	// Name is empty where the API server will generate it.
	Name string
	// Owner is the pod's controller as it says itself (a ReplicaSet, StatefulSet, DaemonSet); nothing
	// proves it. The zero value where it has none.
	Owner mutators.Owner
	// Stamp are the pod's labels.
	Stamp mutators.Stamp
}

// RestoreState is what is known of a restore by the value of its label.
type RestoreState int

// States of a restore.
const (
	// RestoreUnknown: there is a RestoreSession of this hash, but it is not known here yet. The pod is denied.
	RestoreUnknown RestoreState = iota
	// RestoreActive: the pod gets the plan.
	RestoreActive
	// RestoreFinished: it ended, or was deleted; the pod starts on what is there, without our init-container.
	RestoreFinished
	// RestoreForeign: the RestoreSession exists and its target is not the pod's workload. Denied.
	RestoreForeign
)

// Pods answers for the pod hooks. It is on the path of every stamped pod: answers come from memory,
// but where the pod's owner is not in the cache yet it is read from the API server. An error starts
// the pod without its sidecar (BackupPlan) or keeps it from starting (the others).
type Pods interface {
	// BackupPlan returns the plan of the pod's workload: of the stored configurations that target it
	// and of those that its annotations expand into. An Empty plan where there is none.
	BackupPlan(ctx context.Context, pod PodRef) (mutators.Plan, error)
	// RestorePlan returns the plan of the restore whose hash the pod's label is; it is Empty unless
	// the state is RestoreActive.
	RestorePlan(ctx context.Context, pod PodRef) (mutators.Plan, RestoreState, error)
	// ActiveRestore returns name and label value of the restore that is under way for the pod's
	// workload; empty where there is none. It is asked in namespaces under restore only.
	ActiveRestore(ctx context.Context, pod PodRef) (name, hash string, err error)
}

// Workload is a workload that is being created or updated.
type Workload struct {
	Namespace string
	Kind      target.Kind
	// Object is typed, as it will be stored; its UID is empty at creation.
	Object runtime.Object
	// Pairs are what its annotations expand into, stored or not.
	Pairs []blueprint.Pair
}

// Wanted is what the pod template of a workload should carry.
type Wanted struct {
	// Stamp: Inject is the plan's hash where configurations target the workload and a plan can be
	// made; Restore is the hash of the restore that is under way, from the moment on that pods must
	// wait for it.
	Stamp mutators.Stamp
	// Later says why a workload that runs gets what is wanted with its next rollout only; empty: at
	// once.
	Later string
	// Withheld says why Inject is empty though configurations want a sidecar.
	Withheld string
	// Problems of the plan.
	Problems []mutators.Problem
}

// Workloads answers for the workload hooks.
type Workloads interface {
	// ExpansionInput gathers what blueprint.Expand looks at.
	ExpansionInput(ctx context.Context, t blueprint.Target) (blueprint.Input, error)
	// Wanted returns what the workload should carry, from what is stored and from w.Pairs.
	Wanted(ctx context.Context, w Workload) (Wanted, error)
}

// Observer counts and times decisions; package metrics stands behind it.
type Observer interface {
	// Observe is called once for each request: the hook's name, one of the Decisions, one of the
	// Reasons, and how long it took.
	Observe(hook string, decision Decision, reason Reason, seconds float64)
}
