package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
)

// TargetRef names what is backed up or restored.
type TargetRef struct {
	// APIVersion of the target, for example apps/v1.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind of the target, for example Deployment.
	// +optional
	Kind string `json:"kind,omitempty"`
	// Name of the target.
	// +optional
	Name string `json:"name,omitempty"`
	// Namespace of the target. Default: the namespace of the object that names it.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// BackupTarget is what is backed up.
type BackupTarget struct {
	// Alias replaces "host" in the host names under which snapshots are stored: <alias>,
	// <alias>-<ordinal> or <alias>-<node>.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Alias string `json:"alias,omitempty"`
	// Ref names the target.
	// +optional
	Ref TargetRef `json:"ref,omitzero"`
	// Paths are the directories to back up, one snapshot each. They lie in volumeMounts.
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=4095
	// +optional
	Paths []string `json:"paths,omitempty"`
	// VolumeMounts mount the target's volumes into the pod that takes the backup.
	// +kubebuilder:validation:MaxItems=1000
	// +optional
	VolumeMounts []corev1.VolumeMount `json:"volumeMounts,omitempty"`
	// Replicas is the number of a StatefulSet's replicas to snapshot (VolumeSnapshotter only). Not
	// supported yet: it is refused.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// SnapshotClassName is the VolumeSnapshotClass (VolumeSnapshotter only). Not supported yet: it is
	// refused.
	// +optional
	SnapshotClassName string `json:"snapshotClassName,omitempty"`
	// Exclude are restic's patterns of files to leave out.
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=4095
	// +optional
	Exclude []string `json:"exclude,omitempty"`
	// Args are further arguments of restic backup; only those of the list in
	// docs/operations/tuning.md are accepted.
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=8192
	// +optional
	Args []string `json:"args,omitempty"`

	// Directories is the draft's name of paths.
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=4095
	// +optional
	Directories []string `json:"directories,omitempty"`
	// MountPath is the draft's way to say where a PersistentVolumeClaim is mounted; write volumeMounts. Of
	// other targets it is refused.
	// +optional
	MountPath string `json:"mountPath,omitempty"`
}

// TaskRef names a Task and its parameters.
type TaskRef struct {
	// Name of the Task.
	// +optional
	Name string `json:"name,omitempty"`
	// Params are inputs of the Task.
	// +optional
	Params []Param `json:"params,omitempty"`
	// Inputs is the draft's form of params.
	// +optional
	Inputs map[string]string `json:"inputs,omitempty"`
}

// Param is one input of a Task.
type Param struct {
	// Name of the parameter.
	Name string `json:"name"`
	// Value of the parameter.
	Value string `json:"value"`
}

// KindRepositoryRef names a Repository.
type KindRepositoryRef struct {
	// Name of the Repository.
	Name string `json:"name"`
	// Namespace of the Repository. Default: that of the object that names it.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}
