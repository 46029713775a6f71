package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Task says which Functions back up or restore, in which order, and with which params. It becomes one
// pod, whose containers run one after the other. No Job runs them yet.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=tasks,singular=task,shortName=task,scope=Cluster,categories={stash,appscode}
// +kubebuilder:printcolumn:name="First-Step",type=string,JSONPath=`.spec.steps[0].name`,description="the Function that runs first"
// +kubebuilder:printcolumn:name="Second-Step",type=string,priority=1,JSONPath=`.spec.steps[1].name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Task struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec are the steps and volumes.
	// +optional
	Spec TaskSpec `json:"spec,omitzero"`
	// Status has no fields yet.
	// +optional
	Status TaskStatus `json:"status,omitzero"`
}

// TaskList is a list of Tasks.
//
// +kubebuilder:object:root=true
type TaskList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Task `json:"items"`
}

// TaskSpec are the steps of a Task and the volumes that they share.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.steps) && has(self.functions))",message="functions is the draft's form of steps: give one of them",fieldPath=".functions",reason=FieldValueForbidden
type TaskSpec struct {
	// Steps run one after the other; a step that fails ends the Task.
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Steps []TaskStep `json:"steps,omitempty"`
	// Volumes of the pod, beside those that Stash gives every Job. Their strings may hold variables,
	// but no params of steps.
	// +kubebuilder:validation:MaxItems=128
	// +optional
	Volumes []corev1.Volume `json:"volumes,omitempty"`

	// Functions is the draft's form of steps.
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Functions []DraftStep `json:"functions,omitempty"`
}

// TaskStep is one Function with its params.
type TaskStep struct {
	// Name of the Function.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
	// Params are variables for the Function. What Stash computes, and the params of the
	// BackupConfiguration or RestoreSession, hold before them.
	// +kubebuilder:validation:MaxItems=256
	// +optional
	Params []Param `json:"params,omitempty"`
}

// DraftStep is a step as the draft writes it.
type DraftStep struct {
	// Name of the Function; capitals stand for small letters, since no object can have them.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
	// Inputs is the draft's form of params.
	// +kubebuilder:validation:MaxProperties=256
	// +optional
	Inputs map[string]string `json:"inputs,omitempty"`
}

// TaskStatus has no fields yet.
type TaskStatus struct{}
