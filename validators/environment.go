package validators

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/restic"
)

// environment refuses variables of a container of ours that are the Repository's to set, and tells
// of those that restic does not get.
func (r *Result) environment(c *v1beta1.ContainerRuntimeSettings, path *field.Path) {
	known := restic.UserEnv()
	var idle []string
	for i, e := range c.Env {
		switch {
		case ofRepository(e.Name):
			r.add(field.Forbidden(path.Child("env").Index(i).Child("name"), e.Name+" comes from the Repository and its Secret: remove it"))
		case restic.ReservedEnv(e.Name):
			r.add(field.Forbidden(path.Child("env").Index(i).Child("name"), e.Name+" changes which programs the container runs, or what they leave behind: remove it"))
		case !slices.Contains(known, e.Name) && !refersTo(c.Env, e.Name):
			idle = append(idle, e.Name)
		}
	}
	gets := "it gets " + strings.Join(restic.TuningEnv(), ", ") + ", those of a proxy and of an AWS identity"
	if len(idle) > 0 {
		r.warn("%s: restic does not get %s; %s", path.Child("env"), strings.Join(idle, ", "), gets)
	}
	if len(c.EnvFrom) > 0 {
		r.warn("%s: restic does not get all of these variables; %s", path.Child("envFrom"), gets)
	}
}

// ofRepository tells whether a variable names the repository or runs a program; both are the
// Repository's to decide.
func ofRepository(name string) bool {
	return slices.ContainsFunc([]string{"RESTIC_REPOSITORY", "RESTIC_PASSWORD", "RESTIC_KEY_HINT", "RESTIC_FROM_"}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// refersTo tells whether the value of a variable is made with another one.
func refersTo(env []corev1.EnvVar, name string) bool {
	return slices.ContainsFunc(env, func(e corev1.EnvVar) bool { return strings.Contains(e.Value, "$("+name+")") })
}
