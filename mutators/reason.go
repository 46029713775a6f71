package mutators

// Reason says what Pod or Workload decided. The values are stable: they are labels of a metric.
type Reason string

// Reasons of Pod and Workload.
const (
	// Injected: the patch completes the pod.
	Injected Reason = "Injected"
	// AlreadyInjected: the pod is complete, nothing is to be added.
	AlreadyInjected Reason = "AlreadyInjected"
	// NoPlan: there is nothing that the pod should get.
	NoPlan Reason = "NoPlan"
	// ContainerNameTaken: a container of the user's has the name of ours.
	ContainerNameTaken Reason = "ContainerNameTaken"
	// VolumeNameTaken: a volume of the user's has the name of ours.
	VolumeNameTaken Reason = "VolumeNameTaken"
	// VolumeMissing: the pod lacks a volume that is to be backed up or restored; a pod of an older
	// revision of its workload is such a one.
	VolumeMissing Reason = "VolumeMissing"
	// Malformed: the object is not what its kind says; nothing of it is touched.
	Malformed Reason = "Malformed"
	// Stamped: the patch sets the labels of the pod template.
	Stamped Reason = "Stamped"
	// AlreadyStamped: the labels of the pod template are as wanted.
	AlreadyStamped Reason = "AlreadyStamped"
)

// Complete tells whether the pod has, with the patch, all that its plans hold.
func (r Reason) Complete() bool { return r == Injected || r == AlreadyInjected }

// ReasonDoc explains a Reason in the documentation.
type ReasonDoc struct {
	Reason Reason
	Text   string
}

// Reasons lists all reasons with a sentence each, for the documentation.
func Reasons() []ReasonDoc {
	return []ReasonDoc{
		{Injected, "The pod was completed."},
		{AlreadyInjected, "The pod was complete already (another webhook had the API server ask again)."},
		{NoPlan, "No configuration or restore wants anything in this pod."},
		{ContainerNameTaken, "The pod has a container named `stash` or `stash-init` that is not ours."},
		{VolumeNameTaken, "The pod has a volume with the name of one of ours."},
		{VolumeMissing, "The pod lacks a volume that is backed up or restored: it is of an older revision, or the configuration names a volume that is gone."},
		{Malformed, "The object could not be read."},
		{Stamped, "The labels of the pod template were set."},
		{AlreadyStamped, "The labels of the pod template were right."},
	}
}
