package mutators

import "fmt"

// ProblemReason classifies a Problem. The values are stable: conditions carry them.
type ProblemReason string

// Reasons of problems.
const (
	// ProblemContainerName: the pod template has a container with the name of ours.
	ProblemContainerName ProblemReason = "ContainerNameTaken"
	// ProblemVolumeName: the pod template has a volume with the name of one of ours.
	ProblemVolumeName ProblemReason = "VolumeNameTaken"
	// ProblemNoMounts: nothing says which volumes hold the data.
	ProblemNoMounts ProblemReason = "NoVolumeMounts"
	// ProblemNoVolume: a mount names a volume that the pod template does not have.
	ProblemNoVolume ProblemReason = "VolumeNotFound"
	// ProblemMountConflict: two things are to be mounted at one path.
	ProblemMountConflict ProblemReason = "MountConflict"
	// ProblemMountReserved: a mount would hide what our container needs.
	ProblemMountReserved ProblemReason = "MountPathReserved"
	// ProblemPropagation: a mount propagates both ways, which needs a privileged container.
	ProblemPropagation ProblemReason = "MountPropagationNotAllowed"
	// ProblemSubPath: a subPathExpr uses a variable that our container does not have.
	ProblemSubPath ProblemReason = "SubPathVariableUnknown"
	// ProblemSettings: two configurations of the pod ask for different settings of one container.
	ProblemSettings ProblemReason = "SettingsConflict"
	// ProblemPodSecurity: the namespace's Pod Security level forbids the local backend's volume.
	ProblemPodSecurity ProblemReason = "PodSecurityForbids"
	// ProblemOS: the pod does not run on Linux.
	ProblemOS ProblemReason = "OperatingSystemNotSupported"
	// ProblemIgnored: a setting has no meaning here and is ignored. The rest holds.
	ProblemIgnored ProblemReason = "SettingIgnored"
)

// Problem is something that a plan leaves out, in words for a person.
type Problem struct {
	Reason ProblemReason
	// Configuration is the one that is not covered by the plan, as <namespace>/<name>; empty where
	// it concerns all.
	Configuration string
	// Message says where, what, why, and what to write instead.
	Message string
}

// Refuses tells whether the configuration is left out of the plan; otherwise only a setting is.
func (p Problem) Refuses() bool { return p.Reason != ProblemIgnored }

func (p Problem) String() string {
	if p.Configuration == "" {
		return p.Message
	}
	return p.Configuration + ": " + p.Message
}

func problem(reason ProblemReason, format string, args ...any) *Problem {
	return &Problem{Reason: reason, Message: fmt.Sprintf(format, args...)}
}
