package validators

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/backend"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/task"
)

// BackupBlueprint validates b. Old is what it replaces, nil on creation and for stored objects; a
// request that leaves the spec as it is is never refused.
func BackupBlueprint(b, old *v1beta1.BackupBlueprint, _ Facts) Result {
	if old != nil && equality.Semantic.DeepEqual(b.Spec, old.Spec) {
		return Result{}
	}
	return blueprintSpec(&b.Spec)
}

// BackupTemplate validates t by the rules of BackupBlueprint.
func BackupTemplate(t, old *v1beta1.BackupTemplate, _ Facts) Result {
	if old != nil && equality.Semantic.DeepEqual(t.Spec, old.Spec) {
		return Result{}
	}
	return blueprintSpec(&t.Spec)
}

// blueprintSpec resolves the spec for two made-up targets and checks what comes out, so that its
// faults meet the admin who writes it and not the owners of applications.
func blueprintSpec(stored *v1beta1.BackupBlueprintSpec) Result {
	var r Result
	at := field.NewPath("spec")
	spec, forms := stored.Shipped()
	r.drafts(forms)
	first, other := sample("web", "demo"), sample("db", "prod")
	second := *spec.DeepCopy()
	unresolved, all := task.ResolveIn(&spec, "spec", blueprint.Variables(&first), instead)
	for _, f := range unresolved {
		r.variable(f)
	}
	if !all {
		return r
	}
	// What the first target resolves the second does too: the names are the same.
	_, _ = task.ResolveIn(&second, "spec", blueprint.Variables(&other), instead)
	rest := resolvedSpec(&spec, at)
	// Of a field whose text is not known nothing else can be wrong.
	rest.Errors = slices.DeleteFunc(rest.Errors, func(e *field.Error) bool {
		return slices.ContainsFunc(unresolved, func(f *task.FieldError) bool { return f.Field == e.Field })
	})
	r.add(rest.Errors...)
	for _, text := range rest.Warnings {
		r.warning(text)
	}
	if !slices.ContainsFunc(unresolved, func(f *task.FieldError) bool { return strings.HasPrefix(f.Field, "spec.backend.") }) {
		r.shared(&spec.Backend, &second.Backend, at.Child("backend"))
	}
	return r
}

// instead stands where variables cannot be resolved. It is a name, so that no list or selector is wrong
// for it as a whole.
const instead = "x"

// resolvedSpec checks a spec whose variables are resolved.
func resolvedSpec(spec *v1beta1.BackupBlueprintSpec, at *field.Path) Result {
	var r Result
	r.backend(&spec.Backend, at.Child("backend"))
	r.later(spec.WipeOut, at.Child("wipeOut"), "deletion of the data together with the Repository is")
	r.usagePolicy(spec.UsagePolicy, at.Child("usagePolicy"))
	r.allowed(spec, at)
	r.namespace(spec.BackupNamespace, "that of the target", at.Child("backupNamespace"))
	r.namespace(spec.RepoNamespace, "that of the target", at.Child("repoNamespace"))
	r.schedule(spec.Schedule, spec.TimeZone, at)
	r.retention(&spec.RetentionPolicy, at.Child("retentionPolicy"))
	r.positive(spec.TimeOut, at.Child("timeOut"))
	r.retry(spec.RetryConfig, at.Child("retryConfig"))
	r.history(spec.BackupHistoryLimit, at.Child("backupHistoryLimit"))
	r.tempDir(&spec.TempDir, at.Child("tempDir"))
	r.runtime(&spec.RuntimeSettings, at.Child("runtimeSettings"), false)
	r.unsupported(&spec.Task, spec.InterimVolumeTemplate != nil, spec.Hooks != nil, at)
	return r
}

func sample(name, namespace string) blueprint.Target {
	return blueprint.Target{Kind: target.Deployment(), Namespace: namespace, Name: name}
}

// variable reports what a field needs and does not get.
func (r *Result) variable(f *task.FieldError) {
	at := field.NewPath(f.Field)
	var missing *task.MissingError
	if !errors.As(f.Err, &missing) {
		r.add(field.Invalid(at, "", f.Err.Error()))
		return
	}
	for _, name := range missing.Names {
		detail := fmt.Sprintf("is no variable of a blueprint: known are %s; a default is written ${%s:=default}, a literal $${%s}", list(blueprint.VariableNames()), name, name)
		if strings.HasPrefix(name, "TARGET_APP_") {
			r.add(field.Forbidden(at, fmt.Sprintf("${%s} is of AppBindings, whose backup is not supported yet", name)))
			continue
		}
		r.add(field.Invalid(at, "${"+name+"}", detail))
	}
}

// shared warns where two targets would get the same place.
func (r *Result) shared(a, b *v1alpha1.Backend, at *field.Path) {
	storage, err := backend.ForBackend(*a)
	if err == nil && storage.Location(*a, "") == storage.Location(*b, "") {
		r.warn("%s is the same place for every target: end its prefix (or subPath) in ${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}, else targets with the same paths are refused", at)
	}
}

// allowed checks allowedNamespaces, where Same needs a namespace to be the same as.
func (r *Result) allowed(spec *v1beta1.BackupBlueprintSpec, at *field.Path) {
	a := spec.AllowedNamespaces
	if a == nil {
		return
	}
	at = at.Child("allowedNamespaces")
	r.allowedNamespaces(a, at)
	if same := a.From == "" || a.From == v1alpha1.NamespacesFromSame; same && spec.BackupNamespace == "" && spec.RepoNamespace == "" {
		r.add(field.Invalid(at.Child("from"), string(a.From), "Same needs backupNamespace or repoNamespace, since a blueprint has no namespace of its own: write All or Selector"))
	}
}
