package target

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// PersistentVolumeClaim is backed up by a Job that mounts it; not supported yet.
func PersistentVolumeClaim() Kind {
	return Kind{
		GVK:      schema.GroupVersionKind{Group: "", Version: "v1", Kind: "PersistentVolumeClaim"},
		Resource: "persistentvolumeclaims",
		Short:    "pvc",
		Model:    ModelJob,
	}
}
