package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
)

// Backend is a storage that restic can write to. Exactly one block is given.
//
// +kubebuilder:validation:XValidation:rule="[has(self.local),has(self.s3),has(self.gcs),has(self.azure),has(self.swift),has(self.b2),has(self.rest)].filter(x,x).size() == 1",message="exactly one of local, s3, gcs, azure, swift, b2, rest must be given; for example s3: {endpoint: https://s3.example.com, bucket: backups}",reason=FieldValueInvalid
type Backend struct {
	// StorageSecretName names the Secret, in the Repository's namespace, that holds
	// RESTIC_PASSWORD and the keys of the storage.
	// +optional
	StorageSecretName string `json:"storageSecretName,omitempty"`
	// Local keeps the repository on a volume that is mounted into the pods that use it.
	// +optional
	Local *LocalSpec `json:"local,omitempty"`
	// S3 is Amazon S3 or anything that speaks its protocol.
	// +optional
	S3 *S3Spec `json:"s3,omitempty"`
	// GCS is Google Cloud Storage. Not supported yet: it is refused.
	// +optional
	GCS *GCSSpec `json:"gcs,omitempty"`
	// Azure is Azure Blob Storage. Not supported yet: it is refused.
	// +optional
	Azure *AzureSpec `json:"azure,omitempty"`
	// Swift is OpenStack Swift. Not supported yet: it is refused.
	// +optional
	Swift *SwiftSpec `json:"swift,omitempty"`
	// B2 is Backblaze B2. Not supported yet: it is refused.
	// +optional
	B2 *B2Spec `json:"b2,omitempty"`
	// Rest is restic's REST server. Not supported yet: it is refused.
	// +optional
	Rest *RestServerSpec `json:"rest,omitempty"`
}

// LocalSpec is a volume: any source that a pod accepts, with the path it is mounted at.
type LocalSpec struct {
	corev1.VolumeSource `json:",inline"`
	// MountPath is where the volume is mounted in the pods of Stash; not at or below /stash.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:XValidation:rule="self != '/stash' && !self.startsWith('/stash/')",message="must not be at or below /stash, which the pods of Stash use themselves: for example /backup",reason=FieldValueInvalid
	MountPath string `json:"mountPath"`
	// SubPath is the directory inside the volume that holds the repository.
	// +optional
	SubPath string `json:"subPath,omitempty"`
}

// S3Spec is a bucket that speaks Amazon S3's protocol. Endpoint and bucket must be given: rules ask for
// them, since they can say what to write, which the schema's required cannot.
//
// +kubebuilder:validation:XValidation:rule="has(self.endpoint)",message="the server's host or URL; for example s3.amazonaws.com or https://minio.example:9000",fieldPath=".endpoint",reason=FieldValueRequired
// +kubebuilder:validation:XValidation:rule="has(self.bucket)",message="the name of a bucket that exists; for example backups",fieldPath=".bucket",reason=FieldValueRequired
type S3Spec struct {
	// Endpoint is the server's host or URL, for example s3.amazonaws.com or https://minio.example:9000. It
	// must be given.
	// +optional
	Endpoint string `json:"endpoint"`
	// Bucket must be given, and must exist.
	// +optional
	Bucket string `json:"bucket"`
	// Prefix is the path inside the bucket that holds the repository.
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// Region of the bucket.
	// +optional
	Region string `json:"region,omitempty"`
	// InsecureTLS skips the verification of the server's certificate.
	// +optional
	InsecureTLS bool `json:"insecureTLS,omitempty"`
	// BucketLookup is how the bucket is addressed: auto (default), path (endpoint/bucket) or dns
	// (bucket.endpoint). It is restic's s3.bucket-lookup.
	// +kubebuilder:validation:Enum=auto;path;dns
	// +optional
	BucketLookup string `json:"bucketLookup,omitempty"`
	// MaxConnections limits parallel connections. Default: restic's, 5.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MaxConnections int64 `json:"maxConnections,omitempty"`
}

// GCSSpec is a Google Cloud Storage bucket.
type GCSSpec struct {
	// Bucket must exist.
	Bucket string `json:"bucket"`
	// Prefix is the path inside the bucket that holds the repository.
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// MaxConnections limits parallel connections. Default: restic's, 5.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MaxConnections int64 `json:"maxConnections,omitempty"`
}

// AzureSpec is an Azure Blob Storage container.
type AzureSpec struct {
	// Container must exist.
	Container string `json:"container"`
	// Prefix is the path inside the container that holds the repository.
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// MaxConnections limits parallel connections. Default: restic's, 5.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MaxConnections int64 `json:"maxConnections,omitempty"`
}

// SwiftSpec is an OpenStack Swift container.
type SwiftSpec struct {
	// Container must exist.
	Container string `json:"container"`
	// Prefix is the path inside the container that holds the repository.
	// +optional
	Prefix string `json:"prefix,omitempty"`
}

// B2Spec is a Backblaze B2 bucket.
type B2Spec struct {
	// Bucket must exist.
	Bucket string `json:"bucket"`
	// Prefix is the path inside the bucket that holds the repository.
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// MaxConnections limits parallel connections. Default: restic's, 5.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MaxConnections int64 `json:"maxConnections,omitempty"`
}

// RestServerSpec is restic's REST server.
type RestServerSpec struct {
	// URL of the repository, without user and password.
	// +optional
	URL string `json:"url,omitempty"`
}
