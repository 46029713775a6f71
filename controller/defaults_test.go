package controller

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

func asking(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{api.AnnotationBlueprint: "daily"}}}
}

// Only by a label can the API server tell which namespaces' workloads come to the webhook.
func TestANamespaceThatNamesABlueprintIsManaged(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, asking("shop"), asking("kube-system"), asking("stash"), namespace("other", ""))
	for name, want := range map[string]bool{"shop": true, "kube-system": false, "stash": false, "other": false, "gone": false} {
		if _, err := (&Namespaces{World: w}).Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: name}}); err != nil {
			t.Fatal(err)
		}
		if name == "gone" {
			continue
		}
		if _, got := read(t, w, "", name, &corev1.Namespace{}).Labels[api.LabelManaged]; got != want {
			t.Errorf("%s: labelled is %v", name, got)
		}
	}
}

// Who has other blueprints by default is expanded anew; nobody else is disturbed.
func TestADefaultReachesItsWorkloads(t *testing.T) {
	p := policyOf(v1beta1.ActionDefault)
	p.Spec.Default = &v1beta1.ProtectionDefault{Blueprint: "daily"}
	p.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "gold"}}
	gold := namespace("demo", "")
	gold.Labels = map[string]string{"tier": "gold"}
	elsewhere := stateful(nil)
	elsewhere.Namespace = "other"
	w := newWorld(t, interceptor.Funcs{}, p, gold, namespace("other", ""), stateful(nil), elsewhere)
	k := target.StatefulSet()
	want := []client.ObjectKey{{Namespace: "demo", Name: "db"}}
	for name, got := range map[string][]client.ObjectKey{
		"a policy":    w.selectedBy(k)(t.Context(), p),
		"a blueprint": w.annotated(k)(t.Context(), dailyBlueprint()),
		"a namespace": w.workloadsIn(k)(t.Context(), gold),
	} {
		if !slices.Equal(got, want) {
			t.Errorf("%s reaches %v", name, got)
		}
	}
	if got := w.selectedBy(k)(t.Context(), policyOf(v1beta1.ActionDeny)); len(got) > 0 {
		t.Errorf("a policy that refuses reaches %v", got)
	}
	relabelled, status := gold.DeepCopy(), gold.DeepCopy()
	relabelled.Labels["tier"] = "silver"
	status.Status.Phase = corev1.NamespaceActive
	passes := redefaulted()
	if !passes.Update(event.UpdateEvent{ObjectOld: gold, ObjectNew: relabelled}) || passes.Update(event.UpdateEvent{ObjectOld: gold, ObjectNew: status}) ||
		!passes.Update(event.UpdateEvent{ObjectOld: namespace("shop", ""), ObjectNew: asking("shop")}) || passes.Create(event.CreateEvent{Object: gold}) {
		t.Error("the wrong changes of namespaces are looked at")
	}
}

func TestTheBlueprintOfANamespaceIsLookedUp(t *testing.T) {
	limited := dailyBlueprint()
	limited.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesFromSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "gold"}}}
	gold := asking("shop")
	gold.Labels = map[string]string{"tier": "gold"}
	for name, c := range map[string]struct {
		ns                 *corev1.Namespace
		stored             []client.Object
		problems, warnings int
	}{
		"it admits all":              {asking("shop"), []client.Object{dailyBlueprint()}, 0, 0},
		"it admits the labels":       {gold, []client.Object{limited}, 0, 0},
		"it does not":                {asking("shop"), []client.Object{limited}, 1, 0},
		"it is not there":            {asking("shop"), nil, 0, 1},
		"where nothing is backed up": {asking("kube-system"), []client.Object{dailyBlueprint()}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := NewAdmission(newWorld(t, interceptor.Funcs{}, c.stored...))
			problems, warnings, err := a.NamespaceDefault(t.Context(), c.ns)
			if err != nil || len(problems) != c.problems || len(warnings) != c.warnings {
				t.Errorf("%v, %v, %v", problems, warnings, err)
			}
		})
	}
}
