package validators

import (
	"slices"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// unprotected warns of claims of the target that neither this configuration nor another one of the same
// target backs up: an application has often more volumes than the one that comes to mind.
func (r *Result) unprotected(c *v1beta1.BackupConfiguration, t *v1beta1.BackupTarget, f *Facts) {
	kind, known := target.Of(f.Target)
	if !known || len(r.Errors) > 0 {
		return
	}
	mounts, held := target.MountsOf(kind.PodTemplate(f.Target)), map[string]bool{}
	hold := func(names []string) {
		for _, name := range names {
			held[name] = true
		}
	}
	looks := &target.Looks{} // one for all: anybody may have written the others
	hold(mounts.Held(looks, t))
	for _, n := range f.Configurations {
		if n.Configuration == nil {
			continue
		}
		other, _ := n.Configuration.Spec.Shipped()
		if other.Target != nil && target.Same(t.Ref, c.Namespace, other.Target.Ref, n.Configuration.Namespace) {
			hold(mounts.Held(looks, other.Target))
		}
	}
	missing := slices.DeleteFunc(kind.Claims(f.Target), func(name string) bool { return held[name] })
	if len(missing) > 0 {
		r.warn("%s %q keeps data that no backup holds, in volumes: %s; mount each in spec.target.volumeMounts, and name its folders in spec.target.paths", kind, t.Ref.Name, list(missing))
	}
}
