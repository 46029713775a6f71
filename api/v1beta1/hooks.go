package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// BackupHooks run before and after a backup.
type BackupHooks struct {
	// PreBackup runs before the backup.
	// +optional
	PreBackup *Handler `json:"preBackup,omitempty"`
	// PostBackup runs after the backup.
	// +optional
	PostBackup *PostBackupHook `json:"postBackup,omitempty"`
}

// RestoreHooks run before and after a restore.
type RestoreHooks struct {
	// PreRestore runs before the restore.
	// +optional
	PreRestore *Handler `json:"preRestore,omitempty"`
	// PostRestore runs after the restore.
	// +optional
	PostRestore *PostRestoreHook `json:"postRestore,omitempty"`
}

// PostBackupHook is a Handler with the outcomes that it runs on.
type PostBackupHook struct {
	Handler `json:",inline"`
	// ExecutionPolicy is when the hook runs. Default: Always.
	// +kubebuilder:validation:Enum=Always;OnFailure;OnSuccess;OnFinalRetryFailure
	// +kubebuilder:default=Always
	// +optional
	ExecutionPolicy string `json:"executionPolicy,omitempty"`
}

// PostRestoreHook is a Handler with the outcomes that it runs on.
type PostRestoreHook struct {
	Handler `json:",inline"`
	// ExecutionPolicy is when the hook runs. Default: Always.
	// +kubebuilder:validation:Enum=Always;OnFailure;OnSuccess
	// +kubebuilder:default=Always
	// +optional
	ExecutionPolicy string `json:"executionPolicy,omitempty"`
}

// Handler is one of exec, httpGet, httpPost and tcpSocket.
type Handler struct {
	// Exec runs a command in a container of the application.
	// +optional
	Exec *corev1.ExecAction `json:"exec,omitempty"`
	// HTTPGet sends a GET request; 200 to 399 is success.
	// +optional
	HTTPGet *corev1.HTTPGetAction `json:"httpGet,omitempty"`
	// HTTPPost sends a POST request; 200 to 399 is success.
	// +optional
	HTTPPost *HTTPPostAction `json:"httpPost,omitempty"`
	// TCPSocket opens a connection.
	// +optional
	TCPSocket *corev1.TCPSocketAction `json:"tcpSocket,omitempty"`
	// ContainerName is where exec runs and named ports are looked up. Default: the first container.
	// +optional
	ContainerName string `json:"containerName,omitempty"`
}

// HTTPPostAction is an HTTP POST request.
type HTTPPostAction struct {
	// Path of the request.
	// +optional
	Path string `json:"path,omitempty"`
	// Port number or name.
	Port intstr.IntOrString `json:"port"`
	// Host to send to. Default: the pod's address.
	// +optional
	Host string `json:"host,omitempty"`
	// Scheme is HTTP (default) or HTTPS.
	// +optional
	Scheme corev1.URIScheme `json:"scheme,omitempty"`
	// HTTPHeaders of the request.
	// +optional
	HTTPHeaders []corev1.HTTPHeader `json:"httpHeaders,omitempty"`
	// Body of the request, a Go template.
	// +optional
	Body string `json:"body,omitempty"`
	// Form is sent url-encoded instead of body.
	// +optional
	Form []FormEntry `json:"form,omitempty"`
}

// FormEntry is one field of a form.
type FormEntry struct {
	// Key of the field.
	// +optional
	Key string `json:"key,omitempty"`
	// Values of the field.
	// +optional
	Values []string `json:"values,omitempty"`
}
