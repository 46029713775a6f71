package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// AppBinding says how an application, a database for example, is reached: where, as whom, and with
// which settings of whoever reads it. Backup of databases is not supported yet.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=appbindings,singular=appbinding,categories={catalog,appscode,all}
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.spec.version`
// +kubebuilder:printcolumn:name="Service",type=string,priority=1,JSONPath=`.spec.clientConfig.service.name`
// +kubebuilder:printcolumn:name="Secret",type=string,priority=1,JSONPath=`.spec.secret.name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AppBinding struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec says how the application is reached.
	// +optional
	Spec AppBindingSpec `json:"spec,omitzero"`
	// Status has no fields.
	// +optional
	Status AppBindingStatus `json:"status,omitzero"`
}

// AppBindingList is a list of AppBindings.
//
// +kubebuilder:object:root=true
type AppBindingList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AppBinding `json:"items"`
}

// AppBindingSpec says how an application is reached.
type AppBindingSpec struct {
	// Type is <group>/<resource> of the application, for example kubedb.com/postgres; it is split at
	// the last slash.
	// +optional
	Type string `json:"type,omitempty"`
	// AppRef names the object that manages the application.
	// +optional
	AppRef *AppReference `json:"appRef,omitempty"`
	// Version of the application, for example 11.2.
	// +optional
	Version string `json:"version,omitempty"`
	// ClientConfig says where the application listens.
	ClientConfig ClientConfig `json:"clientConfig"`
	// Secret holds the credentials.
	// +optional
	Secret *LocalReference `json:"secret,omitempty"`
	// SecretTransforms change the keys of the Secret, in order, for whoever expects others.
	// +kubebuilder:validation:MaxItems=64
	// +optional
	SecretTransforms []SecretTransform `json:"secretTransforms,omitempty"`
	// Parameters are settings of whoever reads the AppBinding. Stash reads an object of kind StashAddon.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Parameters *runtime.RawExtension `json:"parameters,omitempty"`
	// TLSSecret holds the client's certificates: ca.crt, tls.crt, tls.key.
	// +optional
	TLSSecret *LocalReference `json:"tlsSecret,omitempty"`
}

// AppReference names an object.
type AppReference struct {
	// APIGroup of the object.
	// +optional
	APIGroup string `json:"apiGroup,omitempty"`
	// Kind of the object.
	// +optional
	Kind string `json:"kind,omitempty"`
	// Namespace of the object.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name"`
}

// LocalReference names an object in the AppBinding's namespace; a Secret where it does not say.
type LocalReference struct {
	// APIGroup of the object.
	// +kubebuilder:default=""
	// +optional
	APIGroup string `json:"apiGroup,omitempty"`
	// Kind of the object. Default: Secret.
	// +kubebuilder:default=Secret
	// +optional
	Kind string `json:"kind,omitempty"`
	// Name of the object.
	Name string `json:"name"`
}

// ClientConfig says where an application listens: by url, or by service.
type ClientConfig struct {
	// URL of the application, for example postgresql://db.example.com:5432.
	// +optional
	URL *string `json:"url,omitempty"`
	// Service in front of the application.
	// +optional
	Service *ServiceReference `json:"service,omitempty"`
	// InsecureSkipTLSVerify accepts every certificate.
	// +optional
	InsecureSkipTLSVerify bool `json:"insecureSkipTLSVerify,omitempty"`
	// CABundle is a PEM bundle for the application's certificate.
	// +optional
	CABundle []byte `json:"caBundle,omitempty"`
	// ServerName is the name that the certificate must have.
	// +optional
	ServerName string `json:"serverName,omitempty"`
}

// ServiceReference names a Service and how it is spoken to.
type ServiceReference struct {
	// Scheme of the protocol, for example postgresql.
	Scheme string `json:"scheme"`
	// Namespace of the Service. Default: the AppBinding's.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the Service.
	Name string `json:"name"`
	// Port of the Service.
	Port int32 `json:"port"`
	// Path after the port.
	// +optional
	Path string `json:"path,omitempty"`
	// Query after the path, for example sslmode=disable.
	// +optional
	Query string `json:"query,omitempty"`
}

// SecretTransform is one change of a Secret's keys; exactly one of its fields is given.
//
// +kubebuilder:validation:XValidation:rule="[has(self.renameKey),has(self.addKey),has(self.addKeysFrom),has(self.removeKey)].filter(x,x).size() == 1",message="exactly one of renameKey, addKey, addKeysFrom, removeKey must be given; for several changes write several transforms",reason=FieldValueInvalid
type SecretTransform struct {
	// RenameKey gives a key another name.
	// +optional
	RenameKey *RenameKey `json:"renameKey,omitempty"`
	// AddKey adds a key, or replaces its value.
	// +optional
	AddKey *AddKey `json:"addKey,omitempty"`
	// AddKeysFrom adds the keys of another Secret.
	// +optional
	AddKeysFrom *AddKeysFrom `json:"addKeysFrom,omitempty"`
	// RemoveKey removes a key.
	// +optional
	RemoveKey *RemoveKey `json:"removeKey,omitempty"`
}

// RenameKey gives a key another name.
type RenameKey struct {
	// From is the key's name in the Secret.
	From string `json:"from"`
	// To is its new name.
	To string `json:"to"`
}

// AddKey adds a key, or replaces its value.
type AddKey struct {
	// Key is the name.
	Key string `json:"key"`
	// Value in base64.
	// +optional
	Value []byte `json:"value,omitempty"`
	// StringValue is the value as it is; it holds before value.
	// +optional
	StringValue *string `json:"stringValue,omitempty"`
}

// AddKeysFrom adds the keys of another Secret.
type AddKeysFrom struct {
	// SecretRef names the Secret, in the AppBinding's namespace.
	// +optional
	SecretRef SecretReference `json:"secretRef,omitzero"`
}

// SecretReference names a Secret in the AppBinding's namespace.
type SecretReference struct {
	// Name of the Secret.
	// +kubebuilder:default=""
	// +optional
	Name string `json:"name,omitempty"`
}

// RemoveKey removes a key.
type RemoveKey struct {
	// Key is the name.
	Key string `json:"key"`
}

// AppBindingStatus has no fields.
type AppBindingStatus struct{}
