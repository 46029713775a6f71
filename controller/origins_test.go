package controller

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/webhook"
)

// A policy that counts blueprints is not met by a place that is somebody's own, whatever is called how.
func TestABlueprintCountsAtItsPlace(t *testing.T) {
	named := func(change func(*v1alpha1.Repository)) *v1alpha1.Repository {
		r := repository()
		r.Name, r.Status = "sts-db", v1alpha1.RepositoryStatus{}
		change(r)
		return r
	}
	says := func(r *v1alpha1.Repository) { r.Annotations = fromBlueprint().Annotations }
	moved := func(r *v1alpha1.Repository) { r.Spec.Backend.S3.Bucket = "mine" }
	theirs := func(r *v1alpha1.Repository) { says(r); moved(r); r.Status = repository().Status }
	byHand := fromBlueprint()
	byHand.Annotations = nil
	made := fromBlueprint()
	made.Spec.Repository.Name = "sts-db"
	for name, c := range map[string]struct {
		stored []client.Object
		gone   bool
		says   string
	}{
		"nothing is stored yet":                             {},
		"as it was made":                                    {stored: []client.Object{named(says), made}},
		"created again, without annotations":                {stored: []client.Object{named(func(*v1alpha1.Repository) {})}},
		"a Repository of that name in another bucket":       {stored: []client.Object{named(moved)}, says: `Repository "demo/sts-db" was there before`},
		"one that says it was made from the blueprint":      {stored: []client.Object{named(theirs), made}, says: `Repository "demo/sts-db", which lies elsewhere than blueprint daily says`},
		"one in the place of another that was deleted":      {stored: []client.Object{named(moved), made}, says: `Repository "demo/sts-db" was there before`},
		"a configuration of that name":                      {stored: []client.Object{byHand}, says: `BackupConfiguration "demo/sts-db" was there before`},
		"the blueprint is gone":                             {stored: []client.Object{named(says), made}, gone: true},
		"the blueprint is gone, and the Repository another": {stored: []client.Object{named(moved), made}, gone: true, says: "lies elsewhere than blueprint daily says"},
	} {
		t.Run(name, func(t *testing.T) {
			p := policyOf(v1beta1.ActionDeny)
			p.Spec.Require.Blueprints = []string{"daily"}
			objs := append(c.stored, p, namespace("demo", ""))
			if !c.gone {
				objs = append(objs, dailyBlueprint())
			}
			got, err := NewAdmission(newWorld(t, interceptor.Funcs{}, objs...)).Protection(t.Context(), webhook.PolicyRequest{
				Policy: "production", Namespace: "demo", Kind: target.StatefulSet(), Object: stateful(byBlueprint("daily")),
			})
			text := ""
			if len(got.Refused) > 0 {
				text = got.Refused.ToAggregate().Error()
			}
			if err != nil || (text == "") != (c.says == "") || !strings.Contains(text, c.says) {
				t.Errorf("%q, %v; want %q", text, err, c.says)
			}
		})
	}
}
