package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/seed-731df569/stash/api"
)

// Kinds of this version.
const (
	KindBackupConfiguration = "BackupConfiguration"
	KindBackupSession       = "BackupSession"
	KindRestoreSession      = "RestoreSession"
	KindBackupBlueprint     = "BackupBlueprint"
	KindBackupTemplate      = "BackupTemplate"
	KindProtectionPolicy    = "ProtectionPolicy"
	KindFunction            = "Function"
	KindTask                = "Task"
)

// GroupVersion is stash.appscode.com/v1beta1.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: api.Group, Version: "v1beta1"}
}

// AddToScheme registers the kinds of this version.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion(),
		&BackupConfiguration{}, &BackupConfigurationList{},
		&BackupSession{}, &BackupSessionList{},
		&RestoreSession{}, &RestoreSessionList{},
		&BackupBlueprint{}, &BackupBlueprintList{},
		&BackupTemplate{}, &BackupTemplateList{},
		&ProtectionPolicy{}, &ProtectionPolicyList{},
		&Function{}, &FunctionList{},
		&Task{}, &TaskList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}
