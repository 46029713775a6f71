package target

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Pod without a workload is not supported yet.
func Pod() Kind {
	return Kind{
		GVK:      schema.GroupVersionKind{Group: "", Version: "v1", Kind: "Pod"},
		Resource: "pods",
		Short:    "po",
		Model:    ModelJob,
	}
}
