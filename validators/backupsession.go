package validators

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// BackupSession validates bs. Old is what it replaces, nil on creation and for stored objects.
func BackupSession(bs, old *v1beta1.BackupSession, f Facts) Result {
	var r Result
	at := field.NewPath("spec")
	if old != nil {
		if !equality.Semantic.DeepEqual(bs.Spec, old.Spec) {
			r.add(field.Forbidden(at, "the spec of a BackupSession cannot be changed: create another one"))
		}
		return r
	}
	if bs.Spec.RetryLeft < 0 {
		r.add(field.Invalid(at.Child("retryLeft"), bs.Spec.RetryLeft, "must not be negative; leave it out for no retry"))
	}
	invoker := at.Child("invoker")
	if bs.Spec.Invoker == nil && bs.Spec.BackupConfiguration != nil {
		r.drafts([]v1beta1.DraftForm{{Path: "spec.backupConfiguration", Shipped: "spec.invoker"}})
		invoker = at.Child("backupConfiguration")
	}
	if bs.Spec.Invoker != nil && bs.Spec.BackupConfiguration != nil {
		r.add(field.Invalid(at.Child("backupConfiguration"), bs.Spec.BackupConfiguration.Name, "is the draft's form of invoker: write invoker only"))
	}
	ref := bs.Spec.InvokerRef()
	switch {
	case ref == (v1beta1.BackupInvokerRef{}):
		r.add(field.Required(invoker, "what to back up; for example {kind: BackupConfiguration, name: deploy-web}"))
		return r
	case ref.APIGroup != api.Group:
		r.add(field.Invalid(invoker.Child("apiGroup"), ref.APIGroup, "must be "+api.Group))
	case ref.Kind == "BackupBatch":
		r.add(field.Forbidden(invoker.Child("kind"), "a BackupBatch is not supported yet: name a BackupConfiguration"))
		return r
	case ref.Kind != v1beta1.KindBackupConfiguration:
		r.add(field.NotSupported(invoker.Child("kind"), ref.Kind, []string{v1beta1.KindBackupConfiguration}))
		return r
	}
	if detail := objectName(ref.Name, "deploy-web"); detail != "" {
		r.add(field.Invalid(invoker.Child("name"), ref.Name, detail))
	} else if f.InvokerMissing {
		r.add(field.Invalid(invoker.Child("name"), ref.Name, fmt.Sprintf("there is no BackupConfiguration of this name in namespace %q: kubectl get backupconfigurations -n %s shows those that exist", bs.Namespace, bs.Namespace)))
	}
	return r
}
