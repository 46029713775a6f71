package v1beta1

import (
	"maps"
	"slices"
	"strings"
)

// Shipped returns the spec in the shipped dialect and the draft forms that were translated. The
// receiver is not changed. Where both forms are given the shipped one holds.
func (s *FunctionSpec) Shipped() (FunctionSpec, []DraftForm) {
	out := *s.DeepCopy()
	var forms []DraftForm
	if out.Name != "" {
		forms = append(forms, DraftForm{"spec.name", "nothing, since containers are named after the Function"})
		out.Name = ""
	}
	c := out.Container
	if c == nil {
		return out, forms
	}
	out.Container = nil
	forms = append(forms, DraftForm{"spec.container", "its fields beside spec.image, and env as spec.runtimeSettings.env"})
	if out.Image == "" {
		out.Image = c.Image
	}
	if len(out.Command) == 0 {
		out.Command = c.Command
	}
	if len(out.Args) == 0 {
		out.Args = c.Args
	}
	if len(out.VolumeMounts) == 0 {
		out.VolumeMounts = c.VolumeMounts
	}
	if len(c.Env) > 0 {
		if out.RuntimeSettings == nil {
			out.RuntimeSettings = &ContainerRuntimeSettings{}
		}
		if len(out.RuntimeSettings.Env) == 0 {
			out.RuntimeSettings.Env = c.Env
		}
	}
	return out, forms
}

// Shipped returns the spec in the shipped dialect and the draft forms that were translated. The
// receiver is not changed. Where both forms are given the shipped one holds.
func (s *TaskSpec) Shipped() (TaskSpec, []DraftForm) {
	out := *s.DeepCopy()
	if len(out.Functions) == 0 {
		return out, nil
	}
	forms := []DraftForm{{"spec.functions", "spec.steps"}}
	draft := out.Functions
	out.Functions = nil
	if len(out.Steps) > 0 {
		return out, forms
	}
	inputs := false
	for _, f := range draft {
		step := TaskStep{Name: strings.ToLower(f.Name)}
		for _, name := range slices.Sorted(maps.Keys(f.Inputs)) {
			step.Params = append(step.Params, Param{Name: name, Value: f.Inputs[name]})
			inputs = true
		}
		out.Steps = append(out.Steps, step)
	}
	if inputs {
		forms = append(forms, DraftForm{"spec.functions[].inputs", "spec.steps[].params"})
	}
	return out, forms
}
