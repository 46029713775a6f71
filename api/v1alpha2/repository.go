// Package v1alpha2 serves the Repository under the version name of the design document. The
// schema is that of v1alpha1; no conversion is needed.
//
// +kubebuilder:object:generate=true
// +groupName=stash.appscode.com
package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1alpha1"
)

// Repository is v1alpha1's Repository.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=repositories,singular=repository,shortName=repo,categories={stash,appscode}
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`,description="Ready once the backend answered"
// +kubebuilder:printcolumn:name="Integrity",type=boolean,JSONPath=`.status.integrity`,description="result of the last restic check"
// +kubebuilder:printcolumn:name="Size",type=string,JSONPath=`.status.totalSize`,description="stored bytes, after deduplication and compression"
// +kubebuilder:printcolumn:name="Snapshot-Count",type=integer,JSONPath=`.status.snapshotCount`
// +kubebuilder:printcolumn:name="Last-Successful-Backup",type=date,format=date-time,JSONPath=`.status.lastBackupTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="BackendReachable")].message`
type Repository struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec says where the repository is and who may use it.
	// +optional
	Spec v1alpha1.RepositorySpec `json:"spec,omitzero"`
	// Status says what was found there.
	// +optional
	Status v1alpha1.RepositoryStatus `json:"status,omitzero"`
}
