package target

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/seed-731df569/stash/api"
)

// AppBinding points at a database, which a Job dumps; not supported yet.
func AppBinding() Kind {
	return Kind{
		GVK:      schema.GroupVersionKind{Group: api.AppCatalogGroup, Version: "v1alpha1", Kind: "AppBinding"},
		Resource: "appbindings",
		Short:    "app",
		Model:    ModelJob,
	}
}
