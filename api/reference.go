package api

// ObjectReference names an object by kind; an empty namespace is that of the referring object.
type ObjectReference struct {
	// APIGroup of the object, for example stash.appscode.com.
	// +optional
	APIGroup string `json:"apiGroup,omitempty"`
	// Kind of the object.
	// +optional
	Kind string `json:"kind,omitempty"`
	// Namespace of the object; empty for the referring object's own.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name"`
}
