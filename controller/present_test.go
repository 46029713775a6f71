package controller

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/webhook"
)

// The cache is behind: what it has may be gone, and what it has not may be there.
func TestADeletionIsJudgedByWhatIsThere(t *testing.T) {
	asIs := func(*v1beta1.BackupConfiguration) {}
	second := func() *v1beta1.BackupConfiguration {
		return promising(func(c *v1beta1.BackupConfiguration) { c.Name, c.UID = "second", "c2" })
	}
	abroad := func() *v1beta1.BackupConfiguration {
		return promising(func(c *v1beta1.BackupConfiguration) {
			c.Namespace, c.Spec.Target.Ref.Namespace, c.Spec.Repository.Namespace = "abroad", "demo", "demo"
		})
	}
	far := namespace("abroad", "")
	going := stateful(nil)
	going.DeletionTimestamp, going.Finalizers = agoP(0), []string{"x/y"}
	leaving := second()
	leaving.DeletionTimestamp, leaving.Finalizers = agoP(0), []string{"x/y"}
	of := func(objs ...client.Object) []client.Object { return objs }
	for name, c := range map[string]struct {
		cached, live []client.Object
		refused      bool
	}{
		"nothing changed":                                {of(stateful(nil)), of(stateful(nil)), true},
		"the workload went just now":                     {of(stateful(nil)), nil, false},
		"the workload goes":                              {of(stateful(nil)), of(going), false},
		"another one holds the same":                     {of(stateful(nil), second()), of(stateful(nil), second()), false},
		"another one was created just now":               {of(stateful(nil)), of(stateful(nil), second()), false},
		"another one went just now":                      {of(stateful(nil), second()), of(stateful(nil)), true},
		"another one goes":                               {of(stateful(nil), second()), of(stateful(nil), leaving), true},
		"another one in another namespace":               {of(stateful(nil), far, abroad()), of(stateful(nil), far, abroad()), false},
		"another one in another namespace went just now": {of(stateful(nil), far, abroad()), of(stateful(nil), far), true},
	} {
		t.Run(name, func(t *testing.T) {
			p := policyOf(v1beta1.ActionDeny)
			both := of(p, namespace("demo", ""), repository(), promising(asIs))
			w := newWorld(t, interceptor.Funcs{}, append(c.cached, both...)...)
			w.Live = newWorld(t, interceptor.Funcs{}, append(c.live, both...)...).Live
			got, err := NewAdmission(w).Withdrawal(t.Context(), webhook.Withdrawal{ConfigurationBefore: promising(asIs), At: field.NewPath("spec")})
			if err != nil || (len(got.Refused) > 0) != c.refused || len(got.Warnings) > 0 {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
