package task

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// maxContainerName is Kubernetes'.
const maxContainerName = 63

// Resolve puts the Functions and all inputs into a Task. Functions are by name; those of the existing
// Stash's catalogue may be missing, since Stash's own code runs in their place. For a step, its params
// hold, before them what is computed, before that the invoker's params, and before all the Function's
// image as ADDON_IMAGE. The Task itself, its volumes and the values of its params, knows no params of
// steps.
//
// The problems, all at once up to a limit, name step and variable by the Task's fields, and hold no value
// of a variable but names of volumes and Functions; with any, the Plan must not be used. Nothing that is passed in is changed.
func Resolve(t *v1beta1.Task, functions map[string]*v1beta1.Function, in Inputs) (Plan, field.ErrorList) {
	params := byName(in.Params)
	r := resolver{functions: functions, in: in, params: params, left: maxTotal}
	spec, forms := t.Spec.Shipped()
	if len(t.Spec.Steps) == 0 && len(t.Spec.Functions) > 0 {
		r.draft = draftVariables(in.Computed, params)
	}
	r.drafts("the Task", forms)
	if len(spec.Steps) == 0 {
		r.problem(field.Required(field.NewPath("spec", "steps"), "the Functions to run, in order; for example steps: [{name: pvc-backup}]"))
	}
	r.names = make([]string, len(spec.Steps))
	for i := range spec.Steps {
		r.names[i] = spec.Steps[i].Name
	}
	r.substitute(&spec, "spec", over(r.draft, in.Computed, params), func(f *FieldError) *field.Error {
		return r.ofTask(f)
	})
	r.plan.Volumes = spec.Volumes
	r.volumes()
	for i := range spec.Steps {
		r.step(i, &spec.Steps[i])
	}
	return r.plan, r.problems
}

type resolver struct {
	functions map[string]*v1beta1.Function
	in        Inputs
	params    map[string]string
	// draft are the variables that only Tasks of the draft have.
	draft map[string]string
	// names of the steps, as they are written.
	names    []string
	plan     Plan
	problems field.ErrorList
	// left is how many bytes all strings together may still have.
	left int
}

func (r *resolver) problem(err *field.Error) {
	if len(r.problems) < maxErrors {
		r.problems = append(r.problems, err)
	}
}

func (r *resolver) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.plan.Warnings, text) {
		r.plan.Warnings = append(r.plan.Warnings, text)
	}
}

func (r *resolver) drafts(whose string, forms []v1beta1.DraftForm) {
	for _, f := range forms {
		r.warn("%s: %s is the draft's form: write %s", whose, f.Path, f.Shipped)
	}
}

// substitute works like SubstituteIn, within the bound of the whole Plan.
func (r *resolver) substitute(v any, root string, values map[string]string, as func(*FieldError) *field.Error) bool {
	w := walker{values: values, left: r.left}
	w.root(v, root)
	r.left = w.left
	for _, err := range w.errs {
		if f, ok := errors.AsType[*FieldError](err); ok {
			r.problem(as(f))
		}
	}
	return len(w.errs) == 0
}

// ofTask makes a problem of a string of the Task.
func (r *resolver) ofTask(f *FieldError) *field.Error {
	where := "the Task"
	known := "of the BackupConfiguration or RestoreSession"
	var i int
	if _, err := fmt.Sscanf(f.Field, "spec.steps[%d]", &i); err == nil && i < len(r.names) {
		where = fmt.Sprintf("step %d, Function %q,", i+1, shorten(r.names[i]))
	}
	return explain(f, field.NewPath(f.Field), where, known)
}

// explain says which variable is missing where, or what else is wrong, and what to do.
func explain(f *FieldError, at *field.Path, where, known string) *field.Error {
	var missing *MissingError
	if !errors.As(f.Err, &missing) {
		return field.Invalid(at, field.OmitValueType{}, where+" cannot be resolved: "+f.Err.Error())
	}
	return field.Invalid(at, listed(missing.Names, "${%s}"), fmt.Sprintf("%s needs a value for it: Stash computes none, and it is no param %s; a default is written ${NAME:=default}", where, known))
}

func (r *resolver) step(i int, s *v1beta1.TaskStep) {
	at := field.NewPath("spec", "steps").Index(i)
	out := Step{Function: s.Name, Params: over(byName(s.Params), r.params)}
	out.Container.Name = containerName(s.Name, i)
	out.Container.ImagePullPolicy = corev1.PullIfNotPresent
	f := r.functions[s.Name]
	switch own, isOwn := OwnFunction(s.Name, "", nil); {
	case f == nil && isOwn:
		out.Own = &own
	case strings.Contains(s.Name, "${"): // its variable is missing, which is said
	case f == nil:
		r.problem(field.Invalid(at.Child("name"), shorten(s.Name), r.noFunction()))
	default:
		r.container(i, s, f, &out, at)
	}
	if out.Own != nil {
		r.warn("step %d: in place of Function %q, which the existing Stash brings, Stash's own code runs", i+1, s.Name)
	}
	applyRuntime(&out.Container, r.in.Container)
	r.plan.Steps = append(r.plan.Steps, out)
}

func (r *resolver) noFunction() string {
	text := "there is no Function of this name"
	if len(r.functions) == 0 {
		return text + ": create it"
	}
	return text + ": create it, or name one of " + listed(slices.Sorted(maps.Keys(r.functions)), "%s")
}

// container fills in what the Function says.
func (r *resolver) container(i int, s *v1beta1.TaskStep, f *v1beta1.Function, out *Step, at *field.Path) {
	spec, forms := f.Spec.Shipped()
	r.drafts(fmt.Sprintf("Function %q", s.Name), forms)
	values := over(r.draft, byName(s.Params), r.in.Computed, r.params)
	where := fmt.Sprintf("step %d, Function %q,", i+1, shorten(s.Name))
	as := func(e *FieldError) *field.Error {
		return explain(e, at, where+" "+e.Field, "of the step, the BackupConfiguration or RestoreSession")
	}
	// A value must not become the image of its own image.
	delete(values, "ADDON_IMAGE")
	resolved := r.substitute(&spec.Image, "spec.image", values, as)
	values["ADDON_IMAGE"] = spec.Image
	image := spec.Image
	spec.Image, spec.PodSecurityPolicyName = "", ""
	r.substitute(&spec, "spec", values, as)
	if reason := ImageFault(image); resolved && reason != "" {
		r.problem(field.Invalid(at, field.OmitValueType{}, where+" spec.image: "+reason))
	}
	if own, ok := OwnFunction(s.Name, image, spec.Args); ok {
		out.Own = &own
	}
	c := &out.Container
	c.Image, c.Command, c.Args, c.WorkingDir = image, spec.Command, spec.Args, spec.WorkingDir
	c.Ports, c.VolumeMounts, c.VolumeDevices = spec.Ports, spec.VolumeMounts, spec.VolumeDevices
	applyRuntime(c, spec.RuntimeSettings)
	if out.Own == nil {
		r.mounts(c, at, where)
	}
}

// mounts looks for the volumes of a container that runs as it is.
func (r *resolver) mounts(c *corev1.Container, at *field.Path, where string) {
	known := append(make([]string, 0, 2+len(r.plan.Volumes)), api.VolumeTmp, VolumeInterim)
	for i := range r.plan.Volumes {
		known = append(known, r.plan.Volumes[i].Name)
	}
	unknown := func(kind, name string, i int) {
		if !slices.Contains(known, name) {
			r.problem(field.Invalid(at, shorten(name), fmt.Sprintf("%s spec.%s[%d]: the pod has no volume of this name: add it to spec.volumes of the Task, or mount one of %s", where, kind, i, listed(known, "%s"))))
		}
	}
	for i, m := range c.VolumeMounts {
		unknown("volumeMounts", m.Name, i)
	}
	for i, d := range c.VolumeDevices {
		unknown("volumeDevices", d.Name, i)
	}
}

// volumes checks the names that volumes have now.
func (r *resolver) volumes() {
	seen := map[string]bool{}
	for i := range r.plan.Volumes {
		name := r.plan.Volumes[i].Name
		at := field.NewPath("spec", "volumes").Index(i).Child("name")
		switch {
		case strings.Contains(name, "${"): // its variable is missing, which is said
		case len(validation.IsDNS1123Label(name)) > 0:
			r.problem(field.Invalid(at, shorten(name), "must be lower-case letters, digits and hyphens, at most 63; for example data"))
		case name == api.VolumeTmp || name == VolumeInterim:
			r.problem(field.Invalid(at, name, "Stash gives every Job a volume of this name: choose another one, or leave it out and mount that of Stash"))
		case seen[name]:
			r.problem(field.Duplicate(at, shorten(name)))
		}
		seen[name] = true
	}
}

// containerName is that of the existing Stash, <function>-<index>, cut where it would be too long: the
// index keeps it unique.
func containerName(function string, index int) string {
	end := "-" + strconv.Itoa(index)
	name := strings.ReplaceAll(function, ".", "-")
	if len(name)+len(end) > maxContainerName {
		name = strings.TrimRight(name[:maxContainerName-len(end)], "-")
	}
	return name + end
}
