package rollout

import (
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// Workload is what is observed of a workload that configurations target.
type Workload struct {
	// Want is the stamp that the plan asks for, empty where no configuration can be served; Have is
	// that of the pod template.
	Want string
	Have string
	// Image of the sidecar.
	Image string
	// Excluded says why the pods of the namespace are left alone, empty where they are not.
	Excluded string
	// OnNextRollout tells that a configuration leaves rollouts to the user.
	OnNextRollout bool
	// Lost names a volume that is backed up and would be lost with its pod, for example emptyDir
	// "cache"; empty where there is none.
	Lost string
	// Rollout says what keeps pods from following the template.
	Rollout target.Rollout
	// Refused says why the API server would refuse a pod with the sidecar, but not one without. It is
	// looked at only while the workload has the stamp, wants pods and has none.
	Refused string
	// Sidecar is what was remembered; nil: nothing.
	Sidecar *v1beta1.SidecarStatus
	// Pods of the workload that have not ended.
	Pods []Pod
}

// Pod is a pod as far as its sidecar goes.
type Pod struct {
	Name    string
	Created time.Time
	// Ending is since when it is being deleted; zero: it is not.
	Ending time.Time
	Ready  bool
	// Revision of the workload that it was made from.
	Revision string
	// Stamp is the label that it has of its template.
	Stamp string
	// Injected tells that it has the sidecar, Started that the sidecar was started at least once.
	Injected bool
	Started  bool
	// Stuck is what keeps the sidecar from starting, in kubelet's words.
	Stuck string
	// Refused says why the broker refuses its agent, and what to do; empty: it does not.
	Refused string
	// Lost names a volume of its own that is backed up and goes with it.
	Lost string
}

// Kind names what an Action does.
type Kind string

// Kinds of actions.
const (
	// KindWait: nothing is to be done now but what the message says.
	KindWait Kind = "Wait"
	// KindStamp puts the stamp on the pod template.
	KindStamp Kind = "Stamp"
	// KindWithdraw takes it back.
	KindWithdraw Kind = "Withdraw"
	// KindReplace evicts Pod, which missed its sidecar.
	KindReplace Kind = "Replace"
	// KindDelete deletes Pod, which waits for a sidecar that was withdrawn.
	KindDelete Kind = "Delete"
)

// Action is the one thing to do next.
type Action struct {
	Kind Kind
	// OK, Reason and Message are the condition StashSidecarInjected.
	OK      bool
	Reason  string
	Message string
	// Pod is its name.
	Pod string
	// Settled tells that the workload keeps no others waiting for their rollouts.
	Settled bool
	// Remember is what is to be remembered, before the action is done; nil: nothing.
	Remember *v1beta1.SidecarStatus
	After    time.Duration
	// Unproven is to be done instead of evicting a pod as long as nobody has seen that another one in
	// its place would have the sidecar.
	Unproven *Action
}
