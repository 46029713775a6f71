package target

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ReplicationController is not supported yet.
func ReplicationController() Kind {
	return Kind{
		GVK:      schema.GroupVersionKind{Group: "", Version: "v1", Kind: "ReplicationController"},
		Resource: "replicationcontrollers",
		Short:    "rc",
		Model:    ModelSidecar,
	}
}
