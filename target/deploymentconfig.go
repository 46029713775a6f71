package target

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// DeploymentConfig is OpenShift's Deployment; not supported yet.
func DeploymentConfig() Kind {
	return Kind{
		GVK:      schema.GroupVersionKind{Group: "apps.openshift.io", Version: "v1", Kind: "DeploymentConfig"},
		Resource: "deploymentconfigs",
		Short:    "dc",
		Model:    ModelSidecar,
	}
}
