package target

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ReplicaSet of its own, without a Deployment, is not supported yet.
func ReplicaSet() Kind {
	return Kind{
		GVK:      schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"},
		Resource: "replicasets",
		Short:    "rs",
		Model:    ModelSidecar,
	}
}
