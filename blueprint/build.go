package blueprint

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

const (
	maxObjectName = 253
	maxLabelValue = 63
	hashSize      = 10
)

// Name returns the name of what a blueprint expands into, in the given namespace:
//
//	<short>-<name>                          in the target's namespace, as in the existing Stash
//	<short>-<namespace>.<name>              in another one, where targets of many namespaces meet
//	<short>-<name>.<blueprint>              of further blueprints of the same target
//
// A namespace has no dots, so that no two targets share a name; a name that is too long is cut and
// gets a hash. An empty blueprint is the first one.
func Name(t *Target, namespace, blueprint string) string {
	name := t.Name
	if namespace != t.Namespace {
		name = t.Namespace + "." + name
	}
	if blueprint != "" {
		name += "." + blueprint
	}
	return cut(t.Kind.Short+"-"+name, maxObjectName)
}

// cut shortens s to at most limit characters; what was cut is told apart by a hash.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	hash := hex.EncodeToString(sum[:])[:hashSize]
	return strings.TrimRight(s[:limit-hashSize-1], "-._") + "-" + hash
}

// Labels returns the labels of what a target expands into; they select all of it. None of the
// target's own is passed on: GitOps tools would take the objects for theirs and prune them.
func Labels(t *Target) map[string]string {
	return map[string]string{
		api.LabelManagedBy:       api.ManagedBy,
		api.LabelTargetKind:      t.Kind.GVK.Kind,
		api.LabelTargetName:      cut(t.Name, maxLabelValue),
		api.LabelTargetNamespace: t.Namespace,
	}
}

func (e *expander) meta(namespace string) metav1.ObjectMeta {
	t := &e.in.Target
	further := ""
	if e.name != e.bare {
		further = e.name
	}
	return metav1.ObjectMeta{
		Name: Name(t, namespace, further), Namespace: namespace, Labels: Labels(t),
		Annotations: map[string]string{
			api.AnnotationExpandedFrom:      target.Key(t.Kind.GVK.Kind, t.Namespace, t.Name),
			api.AnnotationExpandedBlueprint: e.kind + "/" + e.name,
			// Argo CD must neither show the objects as out of sync nor remove them.
			"argocd.argoproj.io/compare-options": "IgnoreExtraneous",
			"argocd.argoproj.io/sync-options":    "Prune=false",
		},
	}
}

// Holder returns the blueprint's name of a stored object by its annotations, for Input.Holder; empty
// for an object that was not expanded.
func Holder(annotations map[string]string) string {
	_, name, _ := strings.Cut(annotations[api.AnnotationExpandedBlueprint], "/")
	return name
}

// AdmitElsewhere says what has to be written, and where, for a Repository to admit another namespace: in the
// Repository or, since a change there is put back, in the blueprint that its annotations say it came from.
func AdmitElsewhere(annotations map[string]string) string {
	where := "its spec.usagePolicy.allowedNamespaces"
	kind, name, _ := strings.Cut(annotations[api.AnnotationExpandedBlueprint], "/")
	known := kind == v1beta1.KindBackupBlueprint || kind == v1beta1.KindBackupTemplate
	// Anybody may write the annotation on a Repository: what is no name is not repeated.
	if known && len(validation.NameIsDNSSubdomain(name, false)) == 0 {
		where = fmt.Sprintf("it came from %s %q, whose spec.usagePolicy.allowedNamespaces (a change of the Repository itself is put back)", kind, name)
	}
	return where + " must be All or a selector that matches it"
}

// RepositoryOf returns the Repository that a blueprint or template, of those in the input, expands into for a
// target, whatever the target's annotations say; nil where there is none, or where it cannot be expanded. Only
// its place is that of what is stored: its name depends on the target's other blueprints.
func RepositoryOf(in *Input, t *Target, kind, name string) *v1alpha1.Repository {
	of, as := *in, asked{key: api.AnnotationBlueprint}
	of.Target = *t
	if kind == v1beta1.KindBackupTemplate {
		as.key = "" // a template of this name comes first
	}
	e := expander{in: &of, asked: &as, name: name, bare: name}
	if e.find(); e.stored == nil {
		return nil
	}
	shipped, _ := e.stored.Shipped()
	spec := &v1beta1.BackupBlueprintSpec{Backend: *shipped.Backend.DeepCopy(), RepoNamespace: shipped.RepoNamespace, BackupNamespace: shipped.BackupNamespace}
	if problems, _ := e.substitute(spec); len(problems) > 0 {
		return nil
	}
	if spec.RepoNamespace == "" {
		spec.RepoNamespace = t.Namespace
	}
	return e.repository(spec)
}

// build returns the objects of a blueprint whose variables are resolved.
func (e *expander) build(spec *v1beta1.BackupBlueprintSpec) Pair {
	return Pair{Blueprint: e.name, Where: e.asked.where(), Repository: e.repository(spec), Configuration: e.configuration(spec)}
}

func (e *expander) repository(spec *v1beta1.BackupBlueprintSpec) *v1alpha1.Repository {
	return &v1alpha1.Repository{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "Repository"},
		ObjectMeta: e.meta(spec.RepoNamespace),
		Spec:       v1alpha1.RepositorySpec{Backend: spec.Backend, WipeOut: spec.WipeOut, UsagePolicy: spec.UsagePolicy},
	}
}

func (e *expander) configuration(spec *v1beta1.BackupBlueprintSpec) *v1beta1.BackupConfiguration {
	t := &e.in.Target
	c := &v1beta1.BackupConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1beta1.GroupVersion().String(), Kind: v1beta1.KindBackupConfiguration},
		ObjectMeta: e.meta(spec.BackupNamespace),
		Spec: v1beta1.BackupConfigurationSpec{
			Schedule: spec.Schedule, TimeZone: spec.TimeZone, RetentionPolicy: spec.RetentionPolicy,
			Repository:         v1beta1.KindRepositoryRef{Name: e.meta(spec.RepoNamespace).Name},
			BackupHistoryLimit: spec.BackupHistoryLimit, TimeOut: spec.TimeOut, RetryConfig: spec.RetryConfig, RolloutPolicy: spec.RolloutPolicy,
			BackupTemplatePart: v1beta1.BackupTemplatePart{
				Task: spec.Task, RuntimeSettings: spec.RuntimeSettings, TempDir: spec.TempDir,
				InterimVolumeTemplate: spec.InterimVolumeTemplate, Hooks: spec.Hooks,
			},
		},
	}
	ref := t.Kind.Ref("", t.Name)
	if spec.BackupNamespace != t.Namespace {
		ref.Namespace = t.Namespace
	} else if t.UID != "" {
		controller := true
		c.OwnerReferences = []metav1.OwnerReference{{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: t.Name, UID: t.UID, Controller: &controller}}
	}
	if spec.RepoNamespace != spec.BackupNamespace {
		c.Spec.Repository.Namespace = spec.RepoNamespace
	}
	c.Spec.Target = &v1beta1.BackupTarget{Ref: ref, Paths: slices.Clone(e.paths), VolumeMounts: slices.Clone(e.mounts)}
	return c
}
