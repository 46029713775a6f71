package blueprint

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/scheduler"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/task"
)

// Target is what Expand needs of an annotated object.
type Target struct {
	Kind        target.Kind
	Namespace   string
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	// UID is empty where it is not known yet, as at admission.
	UID types.UID
	// Template is the pod template; it is not changed.
	Template *corev1.PodTemplateSpec
	// Volumes are the names of the volumes in the target's pods.
	Volumes []string
}

// TargetOf returns the Target of a typed object, and false if its kind cannot be backed up. The
// namespace is that of the request, since an object at admission may not hold it.
func TargetOf(obj runtime.Object, namespace string) (Target, bool) {
	k, ok := target.Of(obj)
	meta, isObject := obj.(metav1.Object)
	if !ok || !isObject {
		return Target{}, false
	}
	return Target{
		Kind: k, Namespace: namespace, Name: meta.GetName(), UID: meta.GetUID(), Labels: meta.GetLabels(), Annotations: meta.GetAnnotations(),
		Template: k.PodTemplate(obj), Volumes: k.Volumes(obj),
	}, true
}

// Input is all that Expand looks at.
type Input struct {
	Target Target
	// OperatorNamespace is where Stash itself runs.
	OperatorNamespace string
	// NamespaceLabels are those of the target's namespace.
	NamespaceLabels map[string]string
	// Blueprints and Templates are those that the method Names returns, by name, as far as they exist. They are
	// not changed.
	Blueprints map[string]*v1beta1.BackupBlueprint
	Templates  map[string]*v1beta1.BackupTemplate
	// Default is used where the target's annotations name no blueprint.
	Default Default
	// Holder is the blueprint that the stored object with the short name was expanded from, empty if
	// there is none: a change of the order must not point it at another backend.
	Holder string
}

// Default are blueprints that somebody else than a target's owner asks for. The zero value is none.
type Default struct {
	// Blueprints are their names, in order.
	Blueprints []string
	// Source says who asks for them, for people: ProtectionPolicy "x".
	Source string
	// Field of the source that names them.
	Field string
}

// Names returns the names of the blueprints or templates that the target is expanded by, in order, each
// once.
func (in *Input) Names() []string {
	a := in.asked()
	return a.names
}

// Defaulted tells that the target's own annotations name no blueprint, and that the default does.
func (in *Input) Defaulted() bool {
	a := in.asked()
	return a.source != ""
}

// Spec returns what a name stands for where an annotation of the shipped form names it; nil where there
// is none.
func (in *Input) Spec(name string) *v1beta1.BackupBlueprintSpec {
	e := expander{in: in, asked: &asked{key: api.AnnotationBlueprint}, name: name}
	e.find()
	return e.stored
}

// asked takes the annotations apart, and the default where they name no blueprint.
func (in *Input) asked() asked {
	a := read(in.Target.Annotations)
	if len(a.names) == 0 && len(in.Default.Blueprints) > 0 {
		a.names, a.source, a.sourceField = in.Default.Blueprints, in.Default.Source, in.Default.Field
	}
	return a
}

// Pair is what one blueprint expands into.
type Pair struct {
	// Blueprint is its name, Where what asks for it: an annotation of the target, or a default's field.
	Blueprint     string
	Where         string
	Repository    *v1alpha1.Repository
	Configuration *v1beta1.BackupConfiguration
}

// Expansion is what the annotations of a target expand into.
type Expansion struct {
	// Pairs are in the order of the annotation.
	Pairs []Pair
	// Warnings say what will appear and which draft forms are used.
	Warnings []string
}

// Expand returns what the annotations of a target expand into, and what is wrong with them. A target
// that asks for nothing expands into nothing. Where one of several blueprints has a problem, the
// pairs of the others are returned: a webhook refuses, a reconciler goes on with what there is.
// Expand never returns nil for the Expansion. Of many problems the first are returned, and the last of
// these says that there are more.
func Expand(in Input) (*Expansion, Problems) {
	out, problems := expand(&in)
	return out, problems.bounded()
}

func expand(in *Input) (*Expansion, Problems) {
	t := &in.Target
	a := in.asked()
	out := &Expansion{Warnings: a.warnings}
	problems := autoRestore(t)
	if len(a.names) == 0 {
		out.Warnings = append(out.Warnings, a.withoutBlueprint()...)
		return out, problems
	}
	if p := a.unfit(in); p != nil {
		return out, append(problems, *p)
	}
	if t.Name == "" {
		// generateName: there is no name yet to build others from.
		out.Warnings = append(out.Warnings, short("will be backed up by blueprint %s once the %s has its name", strings.Join(a.names, ", "), t.Kind))
		return out, problems
	}
	if a.source != "" {
		out.Warnings = append(out.Warnings, short("blueprint %s is applied, since %s asks for it; to opt out, say why in the annotation %s", strings.Join(a.names, ", "), a.source, api.AnnotationExemption))
	}
	paths, mounts, shared := a.pathsAndMounts(t)
	if a.schedule != "" {
		if _, err := scheduler.Parse(a.schedule, ""); err != nil {
			shared = append(shared, Problem{Reason: ReasonInvalidSchedule, Field: annotation(api.AnnotationSchedule), Value: a.schedule, Detail: err.Error()})
		}
	}
	problems = append(problems, shared...)
	for _, name := range a.names {
		e := expander{in: in, asked: &a, name: name, paths: paths, mounts: mounts, bare: a.bare(in.Holder)}
		pair, bad := e.expand()
		problems = append(problems, bad...)
		if len(bad) > 0 || len(shared) > 0 {
			continue
		}
		out.Pairs = append(out.Pairs, pair)
		out.Warnings = append(out.Warnings, announce(pair)...)
	}
	return out, problems
}

// unfit says why nothing of what is asked for can be looked at.
func (a *asked) unfit(in *Input) *Problem {
	t := &in.Target
	p := Problem{Field: a.where(), Value: strings.Join(a.names, ",")}
	excluded := target.Excluded(t.Namespace, in.OperatorNamespace)
	switch {
	case !t.Kind.Supported || t.Kind.Model != target.ModelSidecar:
		p.Reason, p.Detail = ReasonNotSupportedYet, fmt.Sprintf("backup of a %s by annotation is not supported yet", t.Kind)
	case excluded != "":
		p.Reason, p.Detail = ReasonNamespaceExcluded, excluded
	case len(a.names) > maxNames:
		p.Reason, p.Detail = ReasonTooMany, fmt.Sprintf("at most %d blueprints can be asked for: each makes a backup of its own of the same paths; leave the others out", maxNames)
	default:
		return nil
	}
	return &p
}

// bare returns the blueprint whose objects have the name without the blueprint's.
func (a *asked) bare(holder string) string {
	if slices.Contains(a.names, holder) {
		return holder
	}
	return a.names[0]
}

// autoRestore refuses what would otherwise be ignored.
func autoRestore(t *Target) Problems {
	var problems Problems
	for _, key := range restoreKeys() {
		if v, ok := t.Annotations[key]; ok {
			problems = append(problems, Problem{
				Reason: ReasonNotSupportedYet, Field: annotation(key), Value: v,
				Detail: "automatic restore is not supported yet: remove the annotation, and create a RestoreSession to restore",
			})
		}
	}
	return problems
}

// withoutBlueprint warns of annotations that mean nothing alone.
func (a *asked) withoutBlueprint() []string {
	var given []string
	if len(a.paths) > 0 {
		given = append(given, a.pathsKey)
	}
	if a.hasMounts {
		given = append(given, api.AnnotationVolumeMounts)
	}
	if a.schedule != "" {
		given = append(given, api.AnnotationSchedule)
	}
	if len(given) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s without %s has no effect: nothing is backed up", strings.Join(given, ", "), api.AnnotationBlueprint)}
}

// maxWarning is what the API server passes on of a warning.
const maxWarning = 256

// announce says what will appear.
func announce(p Pair) []string {
	spec := &p.Configuration.Spec
	schedule := fmt.Sprintf("schedule %q", spec.Schedule)
	if spec.TimeZone != "" {
		schedule += " (" + spec.TimeZone + ")"
	}
	if spec.Schedule == "" {
		schedule = "no schedule (it runs only when a BackupSession is created)"
	}
	return []string{
		short("will create or update Repository %s/%s and BackupConfiguration %s/%s",
			p.Repository.Namespace, p.Repository.Name, p.Configuration.Namespace, p.Configuration.Name),
		short("BackupConfiguration %s/%s: %s, paths %s", p.Configuration.Namespace, p.Configuration.Name, schedule, strings.Join(spec.Target.Paths, ", ")),
	}
}

// short formats a warning of at most maxWarning bytes.
func short(format string, args ...any) string {
	s := fmt.Sprintf(format, args...)
	if len(s) <= maxWarning {
		return s
	}
	return strings.ToValidUTF8(s[:maxWarning-len("…")], "") + "…"
}

// expander expands one blueprint.
type expander struct {
	in     *Input
	asked  *asked
	name   string
	bare   string
	paths  []string
	mounts []corev1.VolumeMount
	// kind and stored are what the name stands for.
	kind   string
	stored *v1beta1.BackupBlueprintSpec
	// unresolved are the fields of the spec whose variables have no value: nothing else is said of them.
	unresolved map[string]bool
}

func (e *expander) problem(r Reason, format string, args ...any) Problem {
	return Problem{Reason: r, Field: e.asked.where(), Value: e.name, Detail: fmt.Sprintf(format, args...)}
}

func (e *expander) expand() (Pair, Problems) {
	if e.find(); e.stored == nil {
		return Pair{}, Problems{e.problem(ReasonBlueprintNotFound, "there is no BackupBlueprint or BackupTemplate of this name: create it, or write the name of one that exists (kubectl get backupblueprints,backuptemplates)")}
	}
	if p := e.allowed(); p != nil {
		return Pair{}, Problems{*p}
	}
	spec, _ := e.stored.Shipped()
	problems, all := e.substitute(&spec)
	if !all {
		return Pair{}, problems
	}
	problems = append(problems, e.schedule(&spec)...)
	problems = append(problems, e.namespaces(&spec)...)
	if len(problems) > 0 {
		return Pair{}, problems
	}
	return e.build(&spec), nil
}

// find looks the name up in the annotation's own kind first, then in the other: both mean the same,
// and an admin who renames the kind must not have to edit every workload.
func (e *expander) find() {
	b, t := e.in.Blueprints[e.name], e.in.Templates[e.name]
	draft := e.asked.source == "" && e.asked.key != api.AnnotationBlueprint
	switch {
	case t != nil && (draft || b == nil):
		e.kind, e.stored = v1beta1.KindBackupTemplate, &t.Spec
	case b != nil:
		e.kind, e.stored = v1beta1.KindBackupBlueprint, &b.Spec
	}
}

// substitute puts values in place of variables. All is false where too much is wrong to look at the rest.
func (e *expander) substitute(spec *v1beta1.BackupBlueprintSpec) (problems Problems, all bool) {
	faults, all := task.ResolveIn(spec, "spec", Variables(&e.in.Target), "x")
	e.unresolved = map[string]bool{}
	for _, f := range faults {
		e.unresolved[f.Field] = true
		reason := ReasonInvalidBlueprint
		if _, ok := errors.AsType[*task.MissingError](f); ok {
			reason = ReasonMissingVariable
		}
		problems = append(problems, e.problem(reason, "%s %q, %s; known are %s", e.kind, e.name, f, strings.Join(VariableNames(), ", ")))
	}
	return problems, all
}

// anyUnresolved tells whether variables have no value in a field below another one.
func (e *expander) anyUnresolved(below string) bool {
	for field := range e.unresolved {
		if strings.HasPrefix(field, below) {
			return true
		}
	}
	return false
}

// schedule puts the annotation's schedule in place and checks what is left.
func (e *expander) schedule(spec *v1beta1.BackupBlueprintSpec) Problems {
	own := e.asked.schedule == ""
	if !own {
		spec.Schedule = e.asked.schedule
	}
	var problems Problems
	zone := spec.TimeZone
	if _, err := scheduler.Parse("@daily", zone); err != nil {
		zone = "" // the schedule may be wrong as well
		if !e.unresolved["spec.timeZone"] {
			problems = append(problems, e.problem(ReasonInvalidSchedule, "%s %q, spec.timeZone: %s", e.kind, e.name, err))
		}
	}
	// A bad schedule of the annotation is reported once, not for each blueprint.
	if !own || spec.Schedule == "" || e.unresolved["spec.schedule"] {
		return problems
	}
	if _, err := scheduler.Parse(spec.Schedule, zone); err != nil {
		problems = append(problems, e.problem(ReasonInvalidSchedule, "%s %q, spec.schedule %q: %s", e.kind, e.name, spec.Schedule, err))
	}
	return problems
}
