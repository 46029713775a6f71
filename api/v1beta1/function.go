package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Function is one container of a Job that backs up or restores: an image with its command. Its
// strings may hold variables, for example ${TARGET_NAME}. A Task puts Functions in order. No Job runs
// them yet.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=functions,singular=function,shortName=fn,scope=Cluster,categories={stash,appscode}
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.image`
// +kubebuilder:printcolumn:name="Args",type=string,priority=1,JSONPath=`.spec.args[0]`,description="the first argument"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Function struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec is the container.
	// +optional
	Spec FunctionSpec `json:"spec,omitzero"`
	// Status has no fields yet.
	// +optional
	Status FunctionStatus `json:"status,omitzero"`
}

// FunctionList is a list of Functions.
//
// +kubebuilder:object:root=true
type FunctionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Function `json:"items"`
}

// FunctionSpec is a container. Variables stand in strings only: ${NAME}, ${NAME:=default};
// docs/concepts/functions.md lists them.
//
// +kubebuilder:validation:XValidation:rule="has(self.image) || has(self.container)",message="the image is missing; for example image: registry.example/dump:v1",fieldPath=".image",reason=FieldValueRequired
// +kubebuilder:validation:XValidation:rule="!has(self.container) || !(has(self.image) || has(self.command) || has(self.args) || has(self.volumeMounts) || has(self.name))",message="container is the draft's form and stands alone: move its fields up beside image, and env to runtimeSettings.env",fieldPath=".container",reason=FieldValueForbidden
type FunctionSpec struct {
	// Image of the container. It may hold variables.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Image string `json:"image,omitempty"`
	// Command replaces the image's entry point.
	// +kubebuilder:validation:MaxItems=1024
	// +optional
	Command []string `json:"command,omitempty"`
	// Args are given to the command, each as it is: there is no shell.
	// +kubebuilder:validation:MaxItems=1024
	// +optional
	Args []string `json:"args,omitempty"`
	// WorkingDir of the command. Default: the image's.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	WorkingDir string `json:"workingDir,omitempty"`
	// Ports that the container listens on.
	// +kubebuilder:validation:MaxItems=128
	// +optional
	Ports []corev1.ContainerPort `json:"ports,omitempty"`
	// VolumeMounts mount volumes of the Task, and those that Stash gives every Job.
	// +kubebuilder:validation:MaxItems=128
	// +optional
	VolumeMounts []corev1.VolumeMount `json:"volumeMounts,omitempty"`
	// VolumeDevices are block devices among the Task's volumes.
	// +kubebuilder:validation:MaxItems=128
	// +optional
	VolumeDevices []corev1.VolumeDevice `json:"volumeDevices,omitempty"`
	// RuntimeSettings of the container; those of the BackupConfiguration or RestoreSession are applied
	// after them.
	// +optional
	RuntimeSettings *ContainerRuntimeSettings `json:"runtimeSettings,omitempty"`
	// PodSecurityPolicyName is accepted because manifests carry it; Kubernetes has no such policies any
	// more, and it has no meaning.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	PodSecurityPolicyName string `json:"podSecurityPolicyName,omitempty"`

	// Name is the draft's name of the container; containers are named after the Function.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
	// Container is the draft's form of the fields above.
	// +optional
	Container *DraftContainer `json:"container,omitempty"`
}

// DraftContainer is a Function's container as the draft writes it.
type DraftContainer struct {
	// Image of the container.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Image string `json:"image,omitempty"`
	// Name of the container; it has no meaning.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
	// Command replaces the image's entry point.
	// +kubebuilder:validation:MaxItems=1024
	// +optional
	Command []string `json:"command,omitempty"`
	// Args are given to the command.
	// +kubebuilder:validation:MaxItems=1024
	// +optional
	Args []string `json:"args,omitempty"`
	// Env of the container.
	// +kubebuilder:validation:MaxItems=1024
	// +optional
	Env []corev1.EnvVar `json:"env,omitempty"`
	// VolumeMounts of the container.
	// +kubebuilder:validation:MaxItems=128
	// +optional
	VolumeMounts []corev1.VolumeMount `json:"volumeMounts,omitempty"`
}

// FunctionStatus has no fields yet.
type FunctionStatus struct{}
