package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/seed-731df569/stash/api"
)

// KindAppBinding is the kind of this version.
const KindAppBinding = "AppBinding"

// GroupVersion is appcatalog.appscode.com/v1alpha1.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: api.AppCatalogGroup, Version: "v1alpha1"}
}

// AddToScheme registers the kinds of this version.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion(), &AppBinding{}, &AppBindingList{})
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}
