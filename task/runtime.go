package task

import (
	"reflect"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// applyRuntime puts settings over those that the container has: resources, probes and lifecycle as a
// whole, the security context field by field, the environment name by name. Whoever sets any resource
// sets all of them: a request of theirs above somebody else's limit would be refused.
func applyRuntime(c *corev1.Container, settings *v1beta1.ContainerRuntimeSettings) {
	if settings == nil {
		return
	}
	s := settings.DeepCopy()
	if len(s.Resources.Requests)+len(s.Resources.Limits)+len(s.Resources.Claims) > 0 {
		c.Resources = s.Resources
	}
	if s.LivenessProbe != nil {
		c.LivenessProbe = s.LivenessProbe
	}
	if s.ReadinessProbe != nil {
		c.ReadinessProbe = s.ReadinessProbe
	}
	if s.Lifecycle != nil {
		c.Lifecycle = s.Lifecycle
	}
	if s.SecurityContext != nil {
		if c.SecurityContext == nil {
			c.SecurityContext = &corev1.SecurityContext{}
		}
		replaceGiven(c.SecurityContext, s.SecurityContext)
	}
	for _, e := range slices.Concat(s.Env, priorities(s)) {
		if i := slices.IndexFunc(c.Env, func(o corev1.EnvVar) bool { return o.Name == e.Name }); i >= 0 {
			c.Env[i] = e
		} else {
			c.Env = append(c.Env, e)
		}
	}
	c.EnvFrom = append(c.EnvFrom, s.EnvFrom...)
}

// replaceGiven replaces each field, all of which are pointers, by that of from where it has one.
func replaceGiven[T any](of, from *T) {
	to, given := reflect.ValueOf(of).Elem(), reflect.ValueOf(from).Elem()
	for i := range to.NumField() {
		if f := given.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
			to.Field(i).Set(f)
		}
	}
}

// priorities tells the container of nice and ionice, as the existing Stash does.
func priorities(s *v1beta1.ContainerRuntimeSettings) []corev1.EnvVar {
	var out []corev1.EnvVar
	add := func(name string, n *int32) {
		if n != nil {
			out = append(out, corev1.EnvVar{Name: name, Value: strconv.Itoa(int(*n))})
		}
	}
	if s.Nice != nil {
		add("NICE_ADJUSTMENT", s.Nice.Adjustment)
	}
	if s.IONice != nil {
		add("IONICE_CLASS", s.IONice.Class)
		add("IONICE_CLASS_DATA", s.IONice.ClassData)
	}
	return out
}
