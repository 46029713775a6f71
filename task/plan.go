package task

import (
	"maps"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// Plan is a Task with everything put in: what one pod runs, in order.
type Plan struct {
	// Steps run one after the other.
	Steps []Step
	// Volumes are those of the Task, without those that Stash gives every Job.
	Volumes []corev1.Volume
	// Warnings are sentences about forms of the draft, and about steps in whose place Stash's own code
	// runs.
	Warnings []string
}

// Step is one container of a Plan.
type Step struct {
	// Function is its name.
	Function string
	// Own is the Function of the catalogue in whose place Stash's own code runs; nil where the container
	// runs as it is.
	Own *Own
	// Params are those of the step, with the invoker's over them, and without what Stash computes.
	Params map[string]string
	// Container is what the Function says, and after it the invoker's runtime settings. Of a Function of
	// the catalogue that is not installed there is only the name.
	Container corev1.Container
}

// Inputs are what a Task and its Functions are resolved with.
type Inputs struct {
	// Computed are a Job's Variables.
	Computed map[string]string
	// Params are the invoker's, of spec.task.params. They hold before what is computed; of two with one
	// name the last holds.
	Params []v1beta1.Param
	// Container are the invoker's runtime settings. Their strings hold no variables.
	Container *v1beta1.ContainerRuntimeSettings
}

func byName(params []v1beta1.Param) map[string]string {
	out := make(map[string]string, len(params))
	for _, p := range params {
		out[p.Name] = p.Value
	}
	return out
}

// over returns one map of several; later ones hold before earlier ones.
func over(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}
